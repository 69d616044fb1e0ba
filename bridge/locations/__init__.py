"""The locations of masters: found while their links run."""
