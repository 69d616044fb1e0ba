"""The values in the chart's README, from values.yaml. `python -m tests.helm.values_table` writes them."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.helm.tools import CHART

START, END = "<!-- values: made from values.yaml -->", "<!-- end of values -->"
README = CHART / "README.md"


def rows(file: Path) -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of every value. Raises ValueError for one without a comment."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    yield from _rows(root, "", lines)


def table(file: Path) -> str:
    """The table in Markdown."""
    head = "| value | default | meaning |\n|---|---|---|\n"
    return head + "".join(
        f"| `{name}` | `{default}` | {meaning} |\n" for name, default, meaning in rows(file)
    )


def written(readme: str, file: Path) -> str:
    """The README with this table between its marks."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{table(file)}{END}{after}"


def _rows(node: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[tuple[str, str, str]]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        comment = _comment(lines, key.start_mark.line)
        nested = isinstance(value, yaml.MappingNode) and not value.flow_style
        if nested and any(_comment(lines, inner.start_mark.line) for inner, _ in value.value):
            yield from _rows(value, f"{name}.", lines)
        elif not comment:
            raise ValueError(f"{name}: has no comment")
        else:
            default = yaml.SafeLoader("").construct_document(value)
            yield name, json.dumps(default), comment.replace("|", "\\|")


def _comment(lines: list[str], at: int) -> str:
    """The comment right above a line, up to an example in it."""
    found: list[str] = []
    while at > 0 and lines[at - 1].lstrip().startswith("#"):
        at -= 1
        found.insert(0, lines[at].strip().removeprefix("#").strip())
    return " ".join(found[: found.index("")] if "" in found else found)


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8"), CHART / "values.yaml"), encoding="utf-8")
