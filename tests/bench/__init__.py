"""What the line costs: the shipped agents on the real broker, next to what they are compared with."""
