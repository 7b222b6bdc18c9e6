"""What only real windows and real minutes show: the shipped deliver stage against the strict simulator."""
