"""First room of the line: an event seen before goes no further."""
