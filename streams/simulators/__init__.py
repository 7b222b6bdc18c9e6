"""Klaviyo and Segment as strict local servers."""
