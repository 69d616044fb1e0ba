"""What connections to PBX and broker share: addresses, TLS, TCP options, threads that look names up."""
