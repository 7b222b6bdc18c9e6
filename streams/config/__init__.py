"""pipeline.yaml, read once into frozen, checked values."""
