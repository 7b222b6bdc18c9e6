"""Third room: rules turn an event into operations."""
