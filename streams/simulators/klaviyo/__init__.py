"""Klaviyo's REST API as a strict local server (revisions 2026-07-15 and 2026-10-15)."""
