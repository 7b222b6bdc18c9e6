"""Last room: Klaviyo's engagement reaches Segment."""
