"""The metrics with a label `pbx`: plain numbers by labels and PBX, and their text. Knows no metric by name.

The library's own children cost a PBX 119 kB, and finding one costs more than counting. Here a series is one
entry of a dict. The event loop writes; the thread that renders /metrics reads copies. The text is the same as
the library's, which takes ten times as long and holds up the event loop meanwhile.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import ClassVar, Generic, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.utils import floatToGoString

PREFIX = "innovaphone_mqtt"
Labels = tuple[str, ...]
Value = TypeVar("Value", float, list[float])


class Family(Generic[Value]):
    """One metric of all PBXs, as a collector of the library. No user, number or call is ever a label."""

    kind: ClassVar[str]

    def __init__(self, name: str, text: str, labels: Labels) -> None:
        self._name = f"{PREFIX}_{name}"
        self._text = text
        self._labels = labels
        self._values: dict[Labels, dict[str, Value]] = {}

    def remove(self, pbx: str, *labels: str) -> None:
        """Remove one series, if it is there."""
        self._of(labels).pop(pbx, None)

    def forget(self, pbx: str) -> None:
        """Remove all series of a PBX."""
        for values in self._values.values():
            values.pop(pbx, None)

    def describe(self) -> Iterator[Metric]:
        """The metric without its series (prometheus_client.Collector)."""
        yield Metric(self._name, self._text, self.kind)

    def collect(self) -> Iterator[Metric]:
        """The metric with its series (prometheus_client.Collector)."""
        metric = Metric(self._name, self._text, self.kind)
        for labels, values in self._values.copy().items():
            more = dict(zip(self._labels, labels, strict=True))
            for pbx, value in values.copy().items():
                self._add(metric, {"pbx": pbx, **more}, value)
        yield metric

    def text(self) -> str:
        """The metric with its series, as Prometheus reads it."""
        name = f"{self._name}_total" if self.kind == "counter" else self._name
        lines = [f"# HELP {name} {self._text}\n# TYPE {name} {self.kind}\n"]
        for labels, values in self._values.copy().items():
            more = dict(zip(self._labels, labels, strict=True))
            self._write(lines, more, values.copy())
        return "".join(lines)

    def _of(self, labels: Labels) -> dict[str, Value]:
        """The values of all PBXs with these labels."""
        values = self._values.get(labels)
        if values is None:
            if len(labels) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {self._labels}, not {labels}")
            values = self._values[labels] = {}
        return values

    def _add(self, metric: Metric, labels: dict[str, str], value: Value) -> None:
        raise NotImplementedError

    def _write(self, lines: list[str], labels: dict[str, str], values: dict[str, Value]) -> None:
        raise NotImplementedError


class _Number(Family[float]):
    """A metric with one series for each PBX and labels."""

    suffix: ClassVar[str] = ""

    def _add(self, metric: Metric, labels: dict[str, str], value: float) -> None:
        metric.add_sample(self._name + self.suffix, labels, value)

    def _write(self, lines: list[str], labels: dict[str, str], values: dict[str, float]) -> None:
        before, after = _around_pbx(self._name + self.suffix, labels)
        lines.extend(f"{before}{pbx}{after}{_shown(value)}\n" for pbx, value in values.items())


class Gauge(_Number):
    """What goes up and down."""

    kind = "gauge"

    def set(self, value: float, pbx: str, *labels: str) -> None:
        """It is so much now."""
        self._of(labels)[pbx] = value


class Counter(_Number):
    """What only goes up."""

    kind = "counter"
    suffix = "_total"

    def show(self, pbx: str, *labels: str) -> None:
        """Show a zero until something happens."""
        self._of(labels).setdefault(pbx, 0)

    def add(self, pbx: str, *labels: str, by: float = 1) -> None:
        """It has happened again."""
        values = self._of(labels)
        values[pbx] = values.get(pbx, 0) + by


class Histogram(Family[list[float]]):
    """How often a duration was how long: counts by bucket, one above all bounds, then the sum."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        super().__init__(name, text, labels)
        self._bounds = bounds
        self._les = (*map(_shown, bounds), "+Inf")

    def show(self, pbx: str, *labels: str) -> None:
        """Show zeros until something happens."""
        self._of(labels).setdefault(pbx, [0] * (len(self._les) + 1))

    def observe(self, seconds: float, pbx: str, *labels: str) -> None:
        """It has taken so long."""
        counts = self._of(labels).get(pbx)
        if counts is None:
            self.show(pbx, *labels)
            counts = self._of(labels)[pbx]
        counts[bisect_left(self._bounds, seconds)] += 1
        counts[-1] += seconds

    def _series(self, labels: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
        """The names and labels of the series, in the order of `_numbers`."""
        for le in self._les:
            yield f"{self._name}_bucket", {**labels, "le": le}
        yield f"{self._name}_count", labels
        yield f"{self._name}_sum", labels

    def _numbers(self, value: list[float]) -> tuple[float, ...]:
        """How many were below each bound, how many there were, and their sum."""
        *counts, total = value
        below = tuple(accumulate(counts))
        return *below, below[-1], total

    def _add(self, metric: Metric, labels: dict[str, str], value: list[float]) -> None:
        for (name, more), number in zip(self._series(labels), self._numbers(value), strict=True):
            metric.add_sample(name, more, number)

    def _write(self, lines: list[str], labels: dict[str, str], values: dict[str, list[float]]) -> None:
        frames = [_around_pbx(name, more) for name, more in self._series(labels)]
        for pbx, value in values.items():
            for (before, after), number in zip(frames, self._numbers(value), strict=True):
                lines.append(f"{before}{pbx}{after}{_shown(number)}\n")


class Families:
    """Makes the metrics that have a label `pbx`, and removes the series of one PBX."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._made: list[Gauge | Counter | Histogram] = []

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A gauge for each PBX; `text` is its HELP."""
        return self._kept(Gauge(name, text, labels))

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A counter for each PBX."""
        return self._kept(Counter(name, text, labels))

    def histogram(self, name: str, text: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
        """A histogram for each PBX."""
        return self._kept(Histogram(name, text, labels, bounds))

    def forget(self, pbx: str) -> None:
        """Remove all series of a PBX."""
        for each in self._made:
            each.forget(pbx)

    def text(self) -> str:
        """All of them, as Prometheus reads them."""
        return "".join(each.text() for each in self._made)

    def _kept(self, made: "Made") -> "Made":
        self._registry.register(made)
        self._made.append(made)
        return made


Made = TypeVar("Made", Gauge, Counter, Histogram)


def _around_pbx(name: str, labels: dict[str, str]) -> tuple[str, str]:
    """What comes before and after the name of the PBX in a line; the names of labels are in order.

    Neither names of PBXs nor the values of labels, which are words of ours, have anything to escape.
    """
    pairs = (f'{label}="{value}"' for label, value in sorted({**labels, "pbx": "\0"}.items()))
    before, _, after = f"{name}{{{','.join(pairs)}}} ".partition("\0")
    return before, after


def _shown(value: float) -> str:
    if not value:
        return "0.0"
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # (untyped in the library)
