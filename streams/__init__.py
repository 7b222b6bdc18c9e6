"""A Kafka pipeline from Segment to Klaviyo and back: every event kept, delivered once, in order."""

__version__ = "0.1.0"
