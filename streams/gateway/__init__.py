"""HTTP in: Segment's webhook and HTTP API, Klaviyo's webhook."""
