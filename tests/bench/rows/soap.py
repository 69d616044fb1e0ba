"""One SOAP request and its answer, within one process of each program."""

import json
from collections.abc import Sequence

from tests.bench.figures import Figure
from tests.bench.inside import output
from tests.bench.place import Place, Program


async def soap(programs: Sequence[Program]) -> list[Figure]:
    """Echo, logged in by digest."""
    found = {}
    async with Place() as place:
        _, url = await place.pbx()
        for program in programs:
            found[program.name] = json.loads(await output(program, "soap.py", url))
    return [
        Figure(
            "one SOAP request and answer (digest) against the same bytes over a bare connection, CPU",
            2.5,
            {name: (against,) for name, (against, _) in found.items()},
        ),
        Figure("the same in µs", None, {name: (each_us,) for name, (_, each_us) in found.items()}, "µs"),
    ]
