"""What tests put between the bridge and a broker, or in place of one, to make things go wrong on purpose."""
