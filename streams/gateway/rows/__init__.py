"""Rows of warehouses: what reads them, and what a row says as a Segment message."""
