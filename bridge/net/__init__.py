"""Shared by the connections to the PBX and to the broker: addresses, TLS, TCP options, threads for DNS."""
