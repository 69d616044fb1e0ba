"""The simulated PBX: an independent implementation of the wire format that shares no code with bridge/pbx."""
