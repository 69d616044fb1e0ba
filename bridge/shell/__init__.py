"""Verbs from the shell: a client of a running bridge, over the broker like any other. Reaches no PBX."""
