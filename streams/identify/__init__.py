"""Second room: one person, one profile."""
