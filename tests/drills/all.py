"""Every drill, in the order of its number."""

from tests.drills import bugs, ends, flood, hard, herd, network, process

_ALL = (
    *process.DRILLS,
    *ends.DRILLS,
    *hard.DRILLS,
    *network.DRILLS,
    *herd.DRILLS,
    *bugs.DRILLS,
    *flood.DRILLS,
)
DRILLS = tuple(sorted(_ALL, key=lambda drill: drill.number))
