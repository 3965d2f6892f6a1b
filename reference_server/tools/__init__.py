"""What is run beside serving: measurements and conversions."""
