"""What became of each event: outcomes, dead letters, the audit."""
