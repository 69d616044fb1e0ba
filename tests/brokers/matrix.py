"""The broker matrix: which promises hold on which broker, with what setting, or why not. Runs nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.brokers import examples, servers
from tests.brokers.promises import PROMISES
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
SWALLOWED = Cannot("larger than the broker takes: it is acknowledged and dropped in silence")
COMMANDS_DENIED = Cannot("the access list swallows them, as `check --connect` says")
EXACT_ONLY = Cannot("the broker delivers retained messages to subscriptions without wildcards only")


@dataclass(frozen=True, slots=True)
class Row:
    """One broker with some settings. `warnings`: what the log of the bridge says of it at every start."""

    broker: str
    server: type[Server]
    cells: Mapping[str, Cell] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def cell(self, protocol: str, promise: str) -> Cell:
        """How a promise is kept."""
        if promise == "response topic" and protocol == V3:
            return NO_RESPONSE_TOPIC
        return self.cells.get(f"{promise} {protocol}") or self.cells.get(promise, YES)


RABBITMQ: Mapping[str, Cell] = {
    "wildcard": EXACT_ONLY,
    "stale command": EXACT_ONLY,
    "crash": Holds("state_dir"),
    "names": Holds("mqtt.encode_dots"),
}
DOTS = ("it turns dots into slashes",)
ROWS = (
    Row("Mosquitto", servers.Mosquitto),
    Row(
        "Mosquitto, `retain_available false`",
        servers.WithoutRetain,
        {
            **dict.fromkeys(("retained", "wildcard", "stale command"), NOTHING_RETAINED),
            "crash": Holds("state_dir"),
        },
        ("it keeps no retained messages",),
    ),
    Row("Mosquitto, `max_qos 0`", servers.QosZero, warnings=("it takes QoS 0 only",)),
    Row("Mosquitto, `max_packet_size 1500`", servers.SmallPackets, {"large": TOO_LARGE}),
    Row(
        "Mosquitto, `message_size_limit 1500`",
        servers.SmallPayloads,
        {"large": TOO_LARGE, f"large {V3}": SWALLOWED},
    ),
    Row("Mosquitto, access list", examples.AccessList),
    Row(
        "Mosquitto, access list without commands",
        examples.CommandsUnread,
        dict.fromkeys(("commands", "response topic", "stale command", "names"), COMMANDS_DENIED),
    ),
    Row("Mosquitto, dynamic security", examples.DynamicSecurity),
    Row("amqtt", servers.Amqtt),
    Row("aedes", servers.Aedes),
    Row("RabbitMQ before 3.13", servers.RabbitMqBefore, RABBITMQ, DOTS),
    Row("RabbitMQ 3.13 and newer", servers.RabbitMq, RABBITMQ, DOTS),
)


def lines() -> Iterator[tuple[Row, str]]:
    """Each row with each protocol that its broker speaks."""
    for row in ROWS:
        for protocol in row.server.protocols:
            yield row, protocol


def name_of(row: Row, protocol: str) -> str:
    """As tests and tables call a line."""
    return f"{row.broker}, MQTT {protocol}"


def readme() -> str:
    """The table in README: a line for each broker, two where its protocols differ."""
    head = ["| broker | MQTT | holds with a setting | does not hold |", "|---|---|---|---|"]
    return "\n".join([*head, *(_line(row, protocols) for row in ROWS for protocols in _alike(row))])


def _alike(row: Row) -> list[tuple[str, ...]]:
    """The protocols of a row, those with the same cells together."""
    groups: dict[str, tuple[str, ...]] = {}
    for protocol in row.server.protocols:
        facts = _facts(row, protocol)
        groups[facts] = (*groups.get(facts, ()), protocol)
    return list(groups.values())


def _line(row: Row, protocols: tuple[str, ...]) -> str:
    return f"| {row.broker} | {', '.join(protocols)} | {_facts(row, protocols[0])} |"


def _facts(row: Row, protocol: str) -> str:
    """What holds with a setting and what does not; that MQTT 3.1.1 has no response topics is said once."""
    needed: dict[str, list[str]] = {}
    lacking: dict[str, list[str]] = {}
    for promise in PROMISES:
        match row.cell(protocol, promise):
            case Holds(needs) if needs:
                needed.setdefault(f"`{needs}`", []).append(promise)
            case Cannot(why) if why != NO_RESPONSE_TOPIC.why:
                lacking.setdefault(why, []).append(promise)
    columns = ({f"{', '.join(names)}: {why}" for why, names in facts.items()} for facts in (needed, lacking))
    return " | ".join("; ".join(sorted(column)) or "-" for column in columns)
