"""A strict local stand-in for Segment's HTTP tracking API."""
