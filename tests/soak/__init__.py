"""Long fault and volume runs."""
