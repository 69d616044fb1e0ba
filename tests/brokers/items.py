"""Which cell of the broker matrix a test of pytest tries. Knows nothing of brokers."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.brokers.matrix import Cannot, Cell, Row, name_of

TEST = "test_promise"


@dataclass(frozen=True, slots=True)
class Tried:
    """One promise on one line."""

    row: Row
    protocol: str
    promise: str

    @property
    def cell(self) -> Cell:
        """What the matrix says."""
        return self.row.cell(self.protocol, self.promise)

    @property
    def line(self) -> str:
        """The name of the line."""
        return name_of(self.row, self.protocol)

    @property
    def can_be_tried(self) -> bool:
        """It holds, or the bridge must warn: else there is nothing to see."""
        return not isinstance(self.cell, Cannot) or self.cell.warning != ""


def tried(item: pytest.Item) -> Tried | None:
    """The cell of a test; None for other tests."""
    if not isinstance(item, pytest.Function) or item.originalname != TEST:
        return None
    values: Any = item.callspec.params
    row, protocol = values["line"]
    return Tried(row, protocol, values["promise"])
