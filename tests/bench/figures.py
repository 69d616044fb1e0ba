"""Figures of the bench: values with their goals, and how two sides are compared. Measures nothing."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Values = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `goal`: None for a figure that only explains others.

    `values`: of each program, one number, or one for each case that the line names. `unit`: what stands
    behind a number. `at_least`: the goal is a lower limit.
    """

    what: str
    goal: float | None
    values: Mapping[str, Values] = field(default_factory=dict)
    unit: str = "×"  # noqa: RUF001  (times, as in the table)
    at_least: bool = False

    def met(self, program: str) -> bool:
        """Whether all its values reach the goal."""
        values = self.values.get(program, ())
        return bool(values) and all(map(self._good, values))

    def _good(self, value: float) -> bool:
        return self.goal is None or (value >= self.goal if self.at_least else value <= self.goal)


def ratio(left: Sequence[float], right: Sequence[float]) -> float:
    """The median of the ratios of rounds: what disturbs a round disturbs both sides of it."""
    return statistics.median(a / b for a, b in zip(left, right, strict=True))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
