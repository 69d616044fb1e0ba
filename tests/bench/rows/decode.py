"""Decoding a Poll reply, within one process of each program."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.figures import Figure
from tests.bench.inside import output
from tests.bench.place import Program
from tests.bench.replies import FOR_ZEEP, Replies

RECORDS = 20


async def decode(programs: Sequence[Program]) -> list[Figure]:
    """20 mixed records."""
    found = {}
    with TemporaryDirectory() as folder:
        encoded, for_zeep = Path(folder) / "encoded.xml", Path(folder) / "zeep.xml"
        encoded.write_bytes(Replies().mixed(RECORDS))
        for_zeep.write_bytes(Replies(FOR_ZEEP).mixed(RECORDS))
        for program in programs:
            found[program.name] = json.loads(await output(program, "decode.py", encoded, for_zeep))
    return [
        Figure(what, goal, {name: (each[key],) for name, each in found.items()}, at_least=at_least)
        for what, goal, key, at_least in (
            ("decoding 20 mixed records against lxml.etree.fromstring of the same bytes", 2.3, "lxml", False),
            ("zeep's objects of the same records against decoding them", 12, "zeep", True),
        )
    ]
