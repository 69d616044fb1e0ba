"""The topics of the contract: where each message goes, and which schema describes it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from bridge.contract.schemas import STATE, reply_name, request_name
from bridge.core.commands.verbs import VERBS
from bridge.core.topics import Topics

TOPICS = Topics("{base}", "{pbx}")
USER = "{user}"
PARAMETERS = {
    "base": {"description": "`mqtt.base_topic`", "default": "innovaphone"},
    "pbx": {"description": "the name of the PBX in the configuration"},
    "user": {"description": "the topic id of the user: a name, percent-encoded, or the guid"},
}


@dataclass(frozen=True, slots=True)
class Published:
    """A topic that the bridge publishes of its own accord; `schema` is the name of its payload's schema."""

    name: str
    address: str
    schema: str
    about: str
    retain: bool


@dataclass(frozen=True, slots=True)
class Commanded:
    """A verb on one form of its topic. `bare`: a value without JSON will do, and what it stands for."""

    name: str
    verb: str
    address: str
    request: str
    reply: str
    about: str
    bare: str | None = None

    @property
    def reply_address(self) -> str:
        """Where the reply goes, unless the request names a response topic."""
        return TOPICS.response(self.verb)


PUBLISHED = (
    Published("state", TOPICS.state, "State", STATE, retain=True),
    Published("info", TOPICS.info, "Info", "details of the link", retain=True),
    Published(
        "userState",
        TOPICS.user_state(USER),
        "UserState",
        "the user now, with its running calls and the last one",
        retain=True,
    ),
    Published("userEvent", TOPICS.user_event(USER), "Event", "one call event", retain=False),
)


def commanded() -> Iterator[Commanded]:
    """Each verb on the topic of its PBX and, if it is about a user, on that of the user."""
    of_pbx, of_user = TOPICS.commands
    for name, verb in VERBS.items():
        schema = request_name(name)
        title = schema.removesuffix("Request")
        common = {"verb": name, "request": schema, "reply": reply_name(name), "about": verb.about}
        yield Commanded(name=f"command{title}", address=of_pbx.replace("+", name), **common)
        if "user" in verb.fields:
            user_topic = of_user.replace("+", USER, 1).replace("+", name)
            yield Commanded(name=f"userCommand{title}", address=user_topic, bare=verb.bare, **common)
