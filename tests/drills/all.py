"""Every drill, in the order of its number."""

from tests.drills import bugs, flood, hostile, network, outages, process, reconnects

_ALL = (
    *process.DRILLS,
    *outages.DRILLS,
    *hostile.DRILLS,
    *network.DRILLS,
    *reconnects.DRILLS,
    *bugs.DRILLS,
    *flood.DRILLS,
)
DRILLS = tuple(sorted(_ALL, key=lambda drill: drill.number))
