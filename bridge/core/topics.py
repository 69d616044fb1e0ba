"""The topics of one PBX, as docs/topics.md has them. Strings in, strings out; no payloads here."""

from dataclasses import dataclass
from urllib.parse import quote, unquote

from bridge.core.records import UserRecord

REPLY = "reply"
USER_IDS = ("h323", "e164", "cn", "guid")


class TopicId(str):
    """The level of a topic that names a user: this user, and no other who could be written so."""

    __slots__ = ()


def topic_id(record: UserRecord, user_id: str, *, dots: bool = False) -> str:
    """The topic level a user wants: the chosen name percent-encoded, or the guid where that is empty."""
    names = {"h323": record.short_name, "e164": record.number, "cn": record.name, "guid": record.guid}
    return encode(names[user_id] or record.guid, dots=dots)


def encode(name: str, *, dots: bool = False) -> str:
    """Percent-encode all but A-Z a-z 0-9 _ . - ~ so that no name can contain / + or #; with `dots` these too.

    Some brokers (RabbitMQ) turn dots into slashes.
    """
    level = quote(name, safe="")
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
        """What all topics of this PBX start with, without the slash."""
        return f"{self.base}/{self.pbx}"

    @property
    def state(self) -> str:
        """`online` or `offline`, retained; the topic of the Last Will."""
        return f"{self.root}/state"

    @property
    def info(self) -> str:
        """What the link is doing and why, retained."""
        return f"{self.root}/info"

    @property
    def user_states(self) -> str:
        """The filter that reads back what we told the world of all users."""
        return f"{self.root}/user/+/state"

    def user_state(self, user: str) -> str:
        """One user now, retained."""
        return f"{self.root}/user/{user}/state"

    def user_event(self, user: str) -> str:
        """The call events of one user, never retained."""
        return f"{self.root}/user/{user}/event"

    def response(self, verb: str) -> str:
        """Where a reply goes when the request names no response topic."""
        return f"{self.root}/response/{verb}"

    @property
    def replies(self) -> str:
        """What the topics start with on which requesters want their replies; no PBX has this name."""
        return f"{self.base}/{REPLY}/"

    @property
    def commands(self) -> tuple[str, str]:
        """The filters of both forms of a command."""
        return f"{self.root}/command/+", f"{self.root}/user/+/command/+"

    @property
    def dotted(self) -> str:
        """A topic with a dot, published to see whether the broker keeps it."""
        return f"{self.root}/dot.check"

    def user_in_state(self, topic: str) -> str | None:
        """The topic id in a user's state topic; None for any other topic."""
        match topic.removeprefix(f"{self.root}/").split("/"):
            case ["user", user, "state"] if topic.startswith(f"{self.root}/"):
                return user
            case _:
                return None

    def user_in_event(self, topic: str) -> str | None:
        """The topic id in the topic of a user's events; None for any other topic."""
        match topic.removeprefix(f"{self.root}/").split("/"):
            case ["user", user, "event"] if topic.startswith(f"{self.root}/"):
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
