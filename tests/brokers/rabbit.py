"""For tests: RabbitMQ's definitions with a bridge and an observer, and what the bridge may. No I/O."""

from collections.abc import Sequence

ALL = {"vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}


def definitions(read: Sequence[str], written: Sequence[str]) -> dict[str, object]:
    """What the bridge may read and write below its PBX; the observer may everything."""
    names = ("bridge", "observer")
    rights = {
        "user": "bridge",
        "vhost": "/",
        "exchange": "amq.topic",
        "read": _pattern([f"+/hq/{each}" for each in read]),
        "write": _pattern([*(f"+/hq/{each}" for each in written), "+/reply/+"]),
    }
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": name, "password": "secret", "tags": ""} for name in names],
        "permissions": [{"user": name, **ALL} for name in names],
        "topic_permissions": [rights],
    }


def _pattern(filters: Sequence[str]) -> str:
    """A regular expression for topics and filters, in RabbitMQ's form: dots for slashes, * for +."""
    levels = (each.replace(".", "/").replace("/", r"\.").replace("+", "[^.]+") for each in filters)
    return f"^({'|'.join(levels)})$"
