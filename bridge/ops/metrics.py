"""All metrics of a process over one registry, and which series a PBX has at which time."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest

from bridge.ops.families import Families
from bridge.ops.link_metrics import BrokerMetrics, CommandMetrics, PbxMetrics, SessionMetrics
from bridge.ops.process_metrics import ProcessMetrics


class Metrics:
    """The metrics of one process. `operations`: those that have a series from the start."""

    def __init__(self, registry: CollectorRegistry, operations: Iterable[str] = ()) -> None:
        # The library adds a series `_created` to each counter and histogram: a quarter of all, never queried.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # (untyped in the library)
        self._of_process = CollectorRegistry()
        self.process = ProcessMetrics(self._of_process)
        registry.register(self._of_process)
        self._families = Families(registry)
        self.sessions = SessionMetrics(self._families)
        self.pbx = PbxMetrics(self._families, operations)
        self.broker = BrokerMetrics(self._families)
        self.commands = CommandMetrics(self._families)

    def page(self) -> bytes:
        """All metrics, as Prometheus reads them."""
        return generate_latest(self._of_process) + self._families.text().encode()

    def announce(self, pbx: str) -> None:
        """Show zeros for a PBX that has not been reached yet, so that alerts see it."""
        for each in (self.sessions, self.pbx, self.broker):
            each.announce(pbx)

    def announce_side(self, pbx: str, side: str) -> None:
        """Show zeros for what can happen only once a session is up: most of the series of a PBX."""
        if side == "mqtt":
            self.broker.publish_seconds.show(pbx)
            self.commands.announce_session(pbx)
        else:
            self.pbx.announce_session(pbx)

    def certificate_ends(self, pbx: str, side: str, unix_s: float | None) -> None:
        """When the certificate of a side expires, if that is known. The broker's has an empty `pbx`."""
        if unix_s is None:
            self.sessions.certificate.remove(pbx, side)
        else:
            self.sessions.certificate.set(unix_s, pbx, side)

    def forget(self, pbx: str) -> None:
        """Remove all series of a PBX that is no longer configured."""
        self._families.forget(pbx)
