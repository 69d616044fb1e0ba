"""Drills: a workload of numbered calls and commands, a fault, a checker of what PBX, bus and bridge did."""
