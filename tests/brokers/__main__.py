"""Tries the broker matrix and prints it: each broker with its version, each promise, and why not."""

import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tests.brokers.items import Tried, tried
from tests.brokers.matrix import Cannot, Cell, Row, lines, name_of
from tests.brokers.promises import PROMISES


class Results:
    """What became of each cell, for pytest as a plugin."""

    def __init__(self) -> None:
        self.words: dict[tuple[str, str], str] = {}
        self.reasons: dict[str, None] = {}
        self._tried: dict[str, Tried] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep which test tries which cell."""
        self._tried = {item.nodeid: cell for item in items if (cell := tried(item)) is not None}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A step of a test has ended."""
        known = self._tried.get(report.nodeid)
        if known is None:
            return
        if report.failed:
            self.words[known.line, known.promise] = "FAILED"
        elif report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[f"{known.line}: {report.longrepr[2]}"] = None
        elif report.when == "call":
            self.words[known.line, known.promise] = word(known.cell)

    def words_of(self, row: Row, protocol: str) -> list[str]:
        """A line of the table; ? where nothing was tried."""
        line, words = name_of(row, protocol), list[str]()
        for promise in PROMISES:
            cell = row.cell(protocol, promise)
            words.append(self.words.get((line, promise), "no" if isinstance(cell, Cannot) else "?"))
            if isinstance(cell, Cannot) or cell.needs:
                self.reasons[f"{line}: {promise}: {why(cell)}"] = None
        return words


def word(cell: Cell) -> str:
    """A cell as a word."""
    if isinstance(cell, Cannot):
        return "no, warned"
    return "if set" if cell.needs else "yes"


def why(cell: Cell) -> str:
    """The reason of a word."""
    return cell.why if isinstance(cell, Cannot) else f"with {cell.needs}"


def main() -> int:
    """Run the tests of this folder and print the table."""
    results = Results()
    code = pytest.main([str(Path(__file__).parent), "-q", "-p", "no:cacheprovider"], [results])
    table = Table("broker", "version", *PROMISES)
    for row, protocol in lines():
        words = results.words_of(row, protocol)
        version = row.server.version() if set(words) - {"?", "no"} else "not tried"
        table.add_row(name_of(row, protocol), version, *words)
    console = Console(width=200)
    console.print(table)
    for reason in results.reasons:
        console.print(reason, highlight=False)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
