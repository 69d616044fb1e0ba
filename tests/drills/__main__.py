"""Runs the drills, one table row each: `python -m tests.drills [--short] [--only 05] [--judge FILE]`."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.drills.all import DRILLS
from tests.drills.checker import Row, judge
from tests.drills.drill import Drill, play, verdict
from tests.drills.history import load

KEEP = Path("build/drills")
HEADS = (
    "drill",
    "events",
    "lost",
    "doubled",
    "disorder",
    "ends",
    "commands",
    "twice",
    "truth s",
    "MiB",
    "secrets",
)


def main() -> int:
    """Run what was asked for; 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(description="Drills with a workload, a fault and a checker.")
    parser.add_argument("--short", action="store_true", help="the short form, as in the tests")
    parser.add_argument(
        "--only", nargs="*", default=[""], help="only drills whose number starts with one of these"
    )
    parser.add_argument("--judge", type=Path, help="judge a history that was kept, run nothing")
    arguments = parser.parse_args()
    say(line(HEADS))
    if arguments.judge:
        say(line(cells(judge(load(arguments.judge)))))
        return 0
    return asyncio.run(run(arguments.only, long=not arguments.short))


async def run(only: list[str], *, long: bool) -> int:
    """Play the drills one after the other; 1 when one of them failed."""
    problems = [
        await played(drill, long=long)
        for drill in DRILLS
        if drill.number.startswith(tuple(only)) and (long or not drill.long_only)
    ]
    return 1 if any(problems) else 0


async def played(drill: Drill, *, long: bool) -> str:
    """Play one drill and say its row; what went wrong."""
    if reason := drill.missing():
        say(f"{drill.title}: left out: {reason}")
        return ""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            row = await play(drill, Path(folder), KEEP, long=long)
        except (Exception, BaseExceptionGroup, pytest.fail.Exception) as error:  # noqa: BLE001  (to be shown)
            say(f"{drill.title}: FAILED: {error!r}")
            return repr(error)
    problem = verdict(drill, row)
    say(f"{line(cells(row))} {time.monotonic() - start:5.0f} s  {problem or 'good'}")
    if row.more:
        say(f"    {', '.join(row.more)}")
    return problem


def say(text: str) -> None:
    """Show a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def cells(row: Row) -> tuple[str, ...]:
    """The figures of a row as text."""
    return (
        row.name,
        *(str(each) for each in (row.events, row.lost, row.duplicated, row.disorder, row.ends)),
        *(str(each) for each in (row.commands, row.twice)),
        f"{row.truth_s:.2f}",
        f"{row.peak_mib:.0f}",
        str(row.secrets),
    )


def line(texts: tuple[str, ...]) -> str:
    """One row of the table."""
    return f"{texts[0]:36}" + "".join(f"{text:>9}" for text in texts[1:])


if __name__ == "__main__":
    sys.exit(main())
