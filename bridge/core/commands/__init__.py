"""Requests from the bus: read, checked in the contract's order, planned and answered. Pure."""
