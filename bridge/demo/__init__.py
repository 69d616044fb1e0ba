"""The demo: a simulated PBX, a broker and the bridge in one command, described in words."""
