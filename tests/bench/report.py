"""The figures of a bench as JSON and as the table of docs/performance.md. Measures nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, Values

BEGIN, END = "<!-- table -->", "<!-- /table -->"
TODAY = "today"
"""The name of the program of this folder."""


def as_json(about: Mapping[str, object], rows: Mapping[str, Sequence[Figure]]) -> str:
    """Everything, for comparison over time."""
    return json.dumps(
        {
            **about,
            "rows": {name: [asdict(each) for each in figures] for name, figures in rows.items()},
        },
        indent=1,
    )


def from_json(text: str) -> dict[str, list[Figure]]:
    """The rows of an earlier run."""
    return {
        name: [
            Figure(**(each | {"values": {key: tuple(found) for key, found in each["values"].items()}}))
            for each in figures
        ]
        for name, figures in json.loads(text)["rows"].items()
    }


def table(figures: Sequence[Figure], programs: Sequence[str], against: str = "against") -> str:
    """The table, as Markdown; today's program is the last. `against`: the heading of the other one."""
    heads = " | ".join([*[against] * (len(programs) - 1), "today"])
    lines = [f"| measured in one run | {heads} | goal | |", f"|---{'|---' * len(programs)}|---|---|"]
    for each in figures:
        values = " | ".join(shown(each.values.get(name, ()), each.unit) for name in programs)
        lines.append(f"| {each.what} | {values} | {_goal(each)} | {_verdict(each, programs[-1])} |")
    return "\n".join(lines)


def shown(values: Values, unit: str) -> str:
    """Numbers with three digits, and their unit."""
    return f"{', '.join(map(_number, values))} {unit}" if values else "-"


def write_page(page: Path, text: str) -> None:
    """Put the table and what is said of the run between the marks of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def about_text(about: Mapping[str, Any]) -> str:
    """Machine, date and command, in one sentence each."""
    return f"{about['date']}, {about['machine']}. Command: `{about['command']}`."


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'≥' if figure.at_least else '≤'} {shown((figure.goal,), figure.unit)}"


def _verdict(figure: Figure, program: str) -> str:
    if figure.goal is None or not figure.values.get(program):
        return ""
    return "met" if figure.met(program) else "not met"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
