"""What a Segment message is, and the client back to Segment."""
