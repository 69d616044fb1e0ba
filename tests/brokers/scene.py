"""For tests: a running broker, a simulated PBX and an observer, where a promise is tried. Asserts nothing."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.brokers.servers import Server
from tests.bus import PATIENCE_S, Observer, eventually
from tests.running import FAST, STAFF, Program, bridge, configuration, pbx_section

DOTTED, ODD = "first.last", "\u00f6 +#/$?*%~"
VISIBLE = ("all", False)
LARGE = (VISIBLE, *((f"a group with a long name {number}", True) for number in range(60)))
STRANGE = (
    SimUser("First Last", DOTTED, "24", "First", groups=(VISIBLE,)),
    SimUser("\u00d6dd & <Name>", ODD, "25", "Odd", groups=(VISIBLE,)),
)
LARGEST = SimUser("Large", "large", "26", "Large", groups=LARGE)
"""Its state has some 3 kB."""
BASES = count(1)
SILENCE_S = 3
"""amqtt forgets a connection, without closing it, when another one subscribes as it is accepted."""
ONLINE_S = 3 * PATIENCE_S
"""A program of its own starts slowly on a busy machine."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a promise is tried. Each scene has a base topic of its own on a broker that several share."""

    server: Server
    protocol: str
    pbx: SimPbx
    bus: Observer
    folder: Path
    settings: Mapping[str, Any]

    @property
    def root(self) -> str:
        """The start of all topics of the PBX."""
        return f"{self.bus.base}/hq"

    def topic(self, user: str, leaf: str = "state") -> str:
        """A topic of a user, by its short name."""
        level = quote(user, safe="")
        if self.settings.get("mqtt", {}).get("encode_dots"):
            level = level.replace(".", "%2E")
        return f"{self.root}/user/{level}/{leaf}"

    def now(self, topic: str) -> Any:
        """What the observer heard last on a topic of the PBX."""
        return self.bus.now(f"{self.root}/{topic}")

    def state(self, user: str) -> Any:
        """The state of a user as the observer heard it; an empty mapping before it did."""
        return self.bus.now(self.topic(user)) or {}

    def configuration(self) -> dict[str, Any]:
        """The bridge's settings for this row."""
        whole = configuration(self.server.port, pbx_section(self.pbx))
        mine = {"protocol": self.protocol, "base_topic": self.bus.base, **credentials(self.server)}
        more = dict(self.settings)
        mqtt = {**whole["mqtt"], **mine, **more.pop("mqtt", {})}
        return {**whole, **more, "mqtt": mqtt}

    def bridge(self) -> AbstractAsyncContextManager[Any]:
        """The bridge in this process."""
        return bridge(self.configuration())

    @asynccontextmanager
    async def program(self) -> AsyncIterator[Program]:
        """The bridge as a program of its own, which can be killed; it runs."""
        program = Program(self.folder, self.configuration())
        process = await program.start()
        try:
            yield program
        finally:
            process = program.process or process
            if process.returncode is None:
                process.kill()
                await process.wait()

    def observer(self, topics: str) -> Observer:
        """Another client that begins to listen now."""
        return _observer(self.server, self.protocol, self.bus.base, topics)

    async def online(self) -> None:
        """The bridge says that it is online and knows the running calls."""
        await eventually(lambda: self.now("state") == "online", "the PBX is online", ONLINE_S)
        await eventually(lambda: (self.now("info") or {}).get("settled"), "its calls are known", ONLINE_S)

    def reached_through(self, port: int) -> "Scene":
        """The same with a bridge that finds the broker at another port."""
        mqtt = {**self.settings.get("mqtt", {}), "url": f"mqtt://127.0.0.1:{port}"}
        return self.with_settings({**self.settings, "mqtt": mqtt})

    def with_settings(self, settings: Mapping[str, Any]) -> "Scene":
        """The same with these settings of the bridge."""
        return replace(self, settings=settings)


def credentials(server: Server, name: str = "bridge") -> dict[str, str]:
    """How a client logs in, where the broker asks for it."""
    return {"username": name, "password": "secret"} if server.asks_for_password else {}


def _observer(server: Server, protocol: str, base: str, topics: str) -> Observer:
    login = ("observer", "secret") if server.asks_for_password else None
    return Observer(
        server.port,
        base=base,
        topics=topics,
        protocol=protocol,
        credentials=login,
        qos=server.qos,
        silence_s=SILENCE_S,
    )


@asynccontextmanager
async def stage(server: Server, protocol: str, folder: Path) -> AsyncIterator[Scene]:
    """A scene on a broker that runs."""
    base = f"matrix{next(BASES)}"
    async with (
        SimPbx(STAFF, FAST) as pbx,
        _observer(server, protocol, base, f"{base}/#") as bus,
    ):
        yield Scene(server, protocol, pbx, bus, folder, {})
