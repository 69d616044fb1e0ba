"""The metrics with a label `pbx`: plain numbers by labels and PBX. Knows no metric by name, renders no page.

The library's own children cost a PBX 119 kB, and finding one costs more than counting. Here a series is one
entry of a dict. The event loop writes; the thread that renders /metrics reads copies.
"""

from bisect import bisect_left
from collections.abc import Iterator
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


class Gauge(Family[float]):
    """What goes up and down."""

    kind = "gauge"

    def set(self, value: float, pbx: str, *labels: str) -> None:
        """It is so much now."""
        self._of(labels)[pbx] = value

    def _add(self, metric: Metric, labels: dict[str, str], value: float) -> None:
        metric.add_sample(self._name, labels, value)


class Counter(Family[float]):
    """What only goes up."""

    kind = "counter"

    def show(self, pbx: str, *labels: str) -> None:
        """Show a zero until something happens."""
        self._of(labels).setdefault(pbx, 0)

    def add(self, pbx: str, *labels: str, by: float = 1) -> None:
        """It has happened again."""
        values = self._of(labels)
        values[pbx] = values.get(pbx, 0) + by

    def _add(self, metric: Metric, labels: dict[str, str], value: float) -> None:
        metric.add_sample(f"{self._name}_total", labels, value)


class Histogram(Family[list[float]]):
    """How often a duration was how long: counts by bucket, one above all bounds, then the sum."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Labels, bounds: tuple[float, ...]) -> None:
        super().__init__(name, text, labels)
        self._bounds = bounds
        self._les = (*map(floatToGoString, bounds), "+Inf")

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

    def _add(self, metric: Metric, labels: dict[str, str], value: list[float]) -> None:
        *counts, total = tuple(value)
        below = 0.0
        for le, count in zip(self._les, counts, strict=True):
            below += count
            metric.add_sample(f"{self._name}_bucket", {**labels, "le": le}, below)
        metric.add_sample(f"{self._name}_count", labels, below)
        metric.add_sample(f"{self._name}_sum", labels, total)


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

    def _kept(self, made: "Made") -> "Made":
        self._registry.register(made)
        self._made.append(made)
        return made


Made = TypeVar("Made", Gauge, Counter, Histogram)
