"""`make bench`: measures every row, or those that are named, and writes JSON and docs/performance.md."""

import argparse
import asyncio
import time
from pathlib import Path

from tests.bench.about import about
from tests.bench.control import ROOT
from tests.bench.figures import Figure
from tests.bench.place import Program
from tests.bench.report import TODAY, about_text, as_json, table, write_page
from tests.bench.rows import ROWS

PAGE = ROOT / "docs" / "performance.md"
OUTPUT = ROOT / "build" / "bench.json"


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
    rows = {}
    for name in names:
        start_s = time.monotonic()
        rows[name] = await ROWS[name](programs)
        print(f"\n{name}, {time.monotonic() - start_s:.0f} s")  # noqa: T201
        print(table(rows[name], [each.name for each in programs]), flush=True)  # noqa: T201
    return rows


def main() -> None:
    """Measure, show, write."""
    options = _arguments()
    programs = [Program(TODAY)]
    if options.against:
        programs.insert(0, Program("against", str(Path(options.against).absolute())))
    said = about()
    rows = asyncio.run(_measure(options.only, programs))
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(as_json(said, rows), encoding="utf-8")
    if options.page:
        figures = [figure for found in rows.values() for figure in found]
        made = table(figures, [each.name for each in programs], options.against_name)
        write_page(PAGE, f"{about_text(said)}\n\n{made}")


if __name__ == "__main__":
    main()
