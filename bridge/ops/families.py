"""Makes metric families with the project's prefix, and removes the series of one PBX. Knows no metric."""

from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

PREFIX = "innovaphone_mqtt"
Metric = TypeVar("Metric", bound=MetricWrapperBase)


class Families:
    """The metric families that have a label `pbx`. No user, number or call is ever a label."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._made: list[MetricWrapperBase] = []

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        """A gauge for each PBX; `text` is its HELP."""
        return self._kept(Gauge(f"{PREFIX}_{name}", text, ["pbx", *labels], registry=self._registry))

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A counter for each PBX."""
        return self._kept(Counter(f"{PREFIX}_{name}", text, ["pbx", *labels], registry=self._registry))

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        """A histogram for each PBX."""
        names = ["pbx", *labels]
        return self._kept(
            Histogram(f"{PREFIX}_{name}", text, names, registry=self._registry, buckets=buckets)
        )

    def forget(self, pbx: str) -> None:
        """Remove all series of a PBX."""
        for metric in self._made:
            metric.remove_by_labels({"pbx": pbx})

    def _kept(self, metric: Metric) -> Metric:
        self._made.append(metric)
        return metric
