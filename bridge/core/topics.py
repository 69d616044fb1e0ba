"""The topic names of one PBX, see docs/topics.md. Strings in, strings out; no payloads."""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from bridge.core.records import UserRecord

REPLY = "reply"
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
USER_IDS = ("h323", "e164", "cn", "guid")


class TopicId(str):
    """The topic level of a user, taken from a topic: only the user with this topic id is meant."""

    __slots__ = ()


def topic_id(record: UserRecord, user_id: str, *, dots: bool = False) -> str:
    """The topic level that a user wants: the chosen name, percent-encoded, or its guid if that is empty."""
    names = {"h323": record.short_name, "e164": record.number, "cn": record.name, "guid": record.guid}
    return encode(names[user_id] or record.guid, dots=dots)


def encode(name: str, *, dots: bool = False) -> str:
    """Percent-encode everything except A-Z a-z 0-9 _ . - ~, so that no name puts / + or # into a topic.

    `dots`: encode dots as well, for brokers that turn them into slashes (RabbitMQ).
    """
    level = name if _PLAIN.fullmatch(name) else quote(name, safe="")
    return level.replace(".", "%2E") if dots else level


def decode(level: str) -> str:
    """The name behind a topic level."""
    return unquote(level)


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one PBX below the base topic."""

    base: str
    pbx: str

    @property
    def root(self) -> str:
        """The common prefix of all topics of this PBX, without a slash at its end."""
        return f"{self.base}/{self.pbx}"

    @property
    def state(self) -> str:
        """`online` or `offline`, retained; the topic of the Last Will."""
        return f"{self.root}/state"

    @property
    def info(self) -> str:
        """Link details, retained."""
        return f"{self.root}/info"

    @property
    def user_states(self) -> str:
        """The filter for the retained states of all users."""
        return f"{self.root}/user/+/state"

    def user_state(self, user: str) -> str:
        """The present state of a user, retained."""
        return f"{self.root}/user/{user}/state"

    def user_event(self, user: str) -> str:
        """The call events of one user, never retained."""
        return f"{self.root}/user/{user}/event"

    def response(self, verb: str) -> str:
        """The topic of replies to requests without a response topic."""
        return f"{self.root}/response/{verb}"

    @property
    def replies(self) -> str:
        """The prefix of permitted response topics. `reply` cannot be the name of a PBX."""
        return f"{self.base}/{REPLY}/"

    @property
    def commands(self) -> tuple[str, str]:
        """The filters for both forms of command topics."""
        return f"{self.root}/command/+", f"{self.root}/user/+/command/+"

    @property
    def dotted(self) -> str:
        """A topic with a dot, published to find out whether the broker keeps dots."""
        return f"{self.root}/dot.check"

    def user_in_state(self, topic: str) -> str | None:
        """The topic id in a user's state topic; None for any other topic."""
        return self._user_in(topic, "state")

    def user_in_event(self, topic: str) -> str | None:
        """The topic id in the topic of a user's events; None for any other topic."""
        return self._user_in(topic, "event")

    def _user_in(self, topic: str, leaf: str) -> str | None:
        match topic.removeprefix(f"{self.root}/").split("/"):
            case ["user", user, last] if last == leaf and topic.startswith(f"{self.root}/"):
                return user
            case _:
                return None

    def command_in(self, topic: str) -> tuple[str | None, str] | None:
        """The user's topic id, if any, and the verb of a command topic; None for any other topic."""
        if not topic.startswith(f"{self.root}/"):
            return None
        match topic.removeprefix(f"{self.root}/").split("/"):
            case ["command", verb]:
                return None, verb
            case ["user", user, "command", verb]:
                return user, verb
            case _:
                return None
