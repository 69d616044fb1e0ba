"""`make bench`: measures every row, or those that are named, and writes JSON and docs/performance.md."""

import argparse
import asyncio
import sys
import time
import traceback
from pathlib import Path

import pytest

from tests.bench.about import about
from tests.bench.control import ROOT
from tests.bench.figures import Figure
from tests.bench.place import Program
from tests.bench.report import TODAY, about_text, as_json, from_json, table, write_page
from tests.bench.rows import ROWS

PAGE = ROOT / "docs" / "performance.md"
OUTPUT = ROOT / "build" / "bench.json"
ROW_S = 480.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="rows to measure; all")
    parser.add_argument(
        "--against", metavar="PYTHON", help="the Python of another installation of the bridge"
    )
    parser.add_argument("--against-name", default="other", help="what its column is called, such as 0.1.0")
    parser.add_argument("--page", action="store_true", help="write the table into docs/performance.md")
    return parser.parse_args()


async def _measure(names: list[str], programs: list[Program]) -> dict[str, list[Figure]]:
    """Each row; one that fails is named, and does not stop the others."""
    rows = {}
    for name in names:
        start_s = time.monotonic()
        try:
            async with asyncio.timeout(ROW_S):
                rows[name] = await ROWS[name](programs)
        except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001  (whatever it was, the others go on)
            traceback.print_exc()
            print(f"\n{name} FAILED after {time.monotonic() - start_s:.0f} s: {error!r}", flush=True)  # noqa: T201
            continue
        print(f"\n{name}, {time.monotonic() - start_s:.0f} s")  # noqa: T201
        print(table(rows[name], [each.name for each in programs]), flush=True)  # noqa: T201
    return rows


def main() -> None:
    """Measure, show, write. With --only the others are of the last run; a row that fails is left out."""
    options = _arguments()
    programs = [Program(TODAY)]
    if options.against:
        programs.insert(0, Program("against", str(Path(options.against).absolute())))
    said = about("tests.bench")
    rows = asyncio.run(_measure(options.only, programs))
    complete = rows.keys() == set(options.only)
    if OUTPUT.exists():
        earlier = from_json(OUTPUT.read_text(encoding="utf-8"))
        rows = {name: found for name, found in earlier.items() if name not in options.only} | rows
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(as_json(said, rows), encoding="utf-8")
    if options.page:
        figures = [figure for name in ROWS for figure in rows.get(name, ())]
        made = table(figures, [each.name for each in programs], options.against_name)
        write_page(PAGE, f"{about_text(said)}\n\n{made}")
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
