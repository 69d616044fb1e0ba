"""Run by the Python of a program: what decoding a Poll reply costs beside lxml and beside zeep's objects.

Arguments: a reply as a PBX sends it, and the same in the form that zeep reads. Writes JSON. Needs nothing of
the project but its package `bridge`.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

from lxml import etree
from zeep import Client, Settings

from bridge.pbx.wire import decode_poll

BINDING = "{http://innovaphone.com/pbx}pbxBinding"
ROUNDS = 15


def seconds(run: Callable[[], object], times: int) -> float:
    """CPU of one run."""
    start_s = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - start_s) / times


def main() -> None:
    """Turn and turn about; medians of ratios."""
    encoded, for_zeep = (Path(name).read_bytes() for name in sys.argv[1:3])
    settings = Settings(strict=False, xsd_ignore_sequence_order=True)
    with as_file(files("bridge.pbx") / "pbx.wsdl") as path:
        operation = Client(str(path), settings=settings).wsdl.bindings[BINDING].get("Poll")
    to_lxml, to_zeep, each_us = [], [], []
    for _ in range(ROUNDS):
        ours_s = seconds(lambda: list(decode_poll(encoded)), 30)
        lxml_s = seconds(lambda: etree.fromstring(encoded), 100)
        zeep_s = seconds(lambda: operation.process_reply(etree.fromstring(for_zeep)), 2)
        to_lxml.append(ours_s / lxml_s)
        to_zeep.append(zeep_s / ours_s)
        each_us.append(ours_s * 1e6)
    found = {"lxml": to_lxml, "zeep": to_zeep, "us": each_us}
    print(json.dumps({name: statistics.median(values) for name, values in found.items()}))  # noqa: T201


if __name__ == "__main__":
    main()
