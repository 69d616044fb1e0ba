"""The broker matrix: which promises hold on which broker, with what setting, or why not. Runs nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.brokers import servers
from tests.brokers.servers import V3, Server


@dataclass(frozen=True, slots=True)
class Holds:
    """The promise holds, where `needs` is set if it names a setting of the bridge."""

    needs: str = ""

    def settings(self, folder: Path) -> Mapping[str, Any]:
        """The settings that are needed."""
        every: dict[str, dict[str, Any]] = {
            "": {},
            "state_dir": {"state_dir": str(folder / "state")},
            "mqtt.encode_dots": {"mqtt": {"encode_dots": True}},
        }
        return every[self.needs]


@dataclass(frozen=True, slots=True)
class Cannot:
    """The broker cannot do it. `warning`: words in the log of the bridge; empty where it cannot know."""

    why: str
    warning: str = ""


Cell = Holds | Cannot
YES = Holds()
NO_RESPONSE_TOPIC = Cannot("MQTT 3.1.1 has no response topics")
NOTHING_RETAINED = Cannot("the broker retains nothing", "it keeps no retained messages")
TOO_LARGE = Cannot("larger than the broker takes; everything else arrives", "user/large/state")
SWALLOWED = Cannot("larger than the broker takes: with MQTT 3.1.1 it is acknowledged and dropped in silence")
COMMANDS_DENIED = Cannot("the access list denies it")
EXACT_ONLY = Cannot("the broker delivers retained messages to subscriptions without wildcards only")


@dataclass(frozen=True, slots=True)
class Row:
    """One broker with some settings."""

    broker: str
    server: type[Server]
    cells: Mapping[str, Cell] = field(default_factory=dict)

    def cell(self, protocol: str, promise: str) -> Cell:
        """How a promise is kept."""
        if promise == "response topic" and protocol == V3:
            return NO_RESPONSE_TOPIC
        return self.cells.get(f"{promise} {protocol}") or self.cells.get(promise, YES)


ROWS = (
    Row("Mosquitto", servers.Mosquitto),
    Row(
        "Mosquitto, `retain_available false`",
        servers.WithoutRetain,
        {
            **dict.fromkeys(("retained", "wildcard", "stale command"), NOTHING_RETAINED),
            "crash": Holds("state_dir"),
        },
    ),
    Row("Mosquitto, `max_qos 0`", servers.QosZero),
    Row("Mosquitto, `max_packet_size 1500`", servers.SmallPackets, {"large": TOO_LARGE}),
    Row(
        "Mosquitto, `message_size_limit 1500`",
        servers.SmallPayloads,
        {"large": TOO_LARGE, f"large {V3}": SWALLOWED},
    ),
    Row("Mosquitto, access list", servers.AccessList),
    Row(
        "Mosquitto, access list without commands",
        servers.CommandsUnread,
        dict.fromkeys(("commands", "response topic", "stale command", "names"), COMMANDS_DENIED),
    ),
    Row("Mosquitto, dynamic security", servers.DynamicSecurity),
    Row("amqtt", servers.Amqtt),
    Row("aedes", servers.Aedes),
    Row(
        "RabbitMQ",
        servers.RabbitMq,
        {
            "wildcard": EXACT_ONLY,
            "stale command": EXACT_ONLY,
            "crash": Holds("state_dir"),
            "names": Holds("mqtt.encode_dots"),
        },
    ),
)


def lines() -> Iterator[tuple[Row, str]]:
    """Each row with each protocol that its broker speaks."""
    for row in ROWS:
        for protocol in row.server.protocols:
            yield row, protocol


def name_of(row: Row, protocol: str) -> str:
    """As tests and tables call a line."""
    return f"{row.broker}, MQTT {protocol}"
