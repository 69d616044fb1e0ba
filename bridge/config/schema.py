"""The schema of the configuration: names, ranges, defaults. Reads no YAML (file.py does).

The names are a public interface. Durations are numbers with the unit in the name.
"""

from difflib import get_close_matches
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_serializer,
    field_validator,
    model_validator,
)

from bridge.config.tls import MqttTls, Reach, Tls
from bridge.config.types import (
    BROKER_PORTS,
    BrokerUrl,
    MisplacedError,
    OnOff,
    PathInside,
    PbxUrl,
    Section,
    Topic,
    WithPassword,
    off_word,
    shaped,
    text_of_number,
)
from bridge.core.commands import reply_topics
from bridge.core.commands.dialling import EMERGENCY, LONGEST, OUTSIDE_LINE, PHONES, DialRules
from bridge.core.commands.permissions import Form, Grant, Permissions
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.numbers import pattern
from bridge.core.rules import Rule
from bridge.core.topics import REPLY
from bridge.net.addresses import ascii_host, listening

_GRACE_AT_MOST_S = 60


class Mqtt(WithPassword):
    """The broker."""

    url: BrokerUrl = "mqtt://127.0.0.1:1883"
    username: str | None = None
    base_topic: Topic = "innovaphone"
    protocol: Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(text_of_number)] = "auto"
    keepalive_s: int = Field(30, ge=5, le=3600)
    connect_timeout_s: float = Field(5, gt=0, le=60)
    encode_dots: bool = False
    client_id_prefix: str = Field("innovaphone-mqtt", min_length=1, max_length=64)
    clear_removed: bool = False
    insecure: bool = False
    tls: MqttTls = MqttTls()

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.secret is not None and self.username is None:
            raise MisplacedError("a password needs a username", "username")
        if self.encode_dots and "." in self.base_topic:
            raise MisplacedError("must not contain a dot with encode_dots: true", "base_topic")
        self.reach.refuse()
        return self

    @property
    def reach(self) -> Reach:
        """How the broker is reached, and which secret the bridge sends to it."""
        query = "the query of the address, which may hold a token" if urlsplit(self.url).query else ""
        sent = query if self.secret is None else "the password"
        return Reach(self.tls, {("url",): self.url}, sent, self.insecure)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or BROKER_PORTS[parts.scheme]

    @property
    def encrypted(self) -> bool:
        """The connection uses TLS."""
        return urlsplit(self.url).scheme in {"mqtts", "wss"}

    @property
    def websocket_path(self) -> str | None:
        """The path of a WebSocket with its query, /mqtt where no path is given; None for TCP."""
        parts = urlsplit(self.url)
        query = f"?{parts.query}" if parts.query else ""
        return (parts.path or "/mqtt") + query if parts.scheme in {"ws", "wss"} else None

    @field_serializer("url")
    def _without_query(self, url: str) -> str:
        """Mask the query, which may hold a token."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(query="*" * 10 if parts.query else ""))


class RuleSection(Section):
    """One rule; all its keys must match. Values may be glob patterns."""

    group: str | None = None
    active: bool | None = None
    name: str | None = None
    number: str | None = None
    short_name: str | None = None
    type: str | None = None
    exclude: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.active is not None and self.group is None:
            raise MisplacedError("needs group; set it too", "active")
        return self

    def to_rule(self) -> Rule:
        """The rule as the core knows it."""
        return Rule(**self.model_dump())


class PbxLimits(Section):
    """Caps on what is kept of one PBX; the rest is skipped and counted."""

    users: int = Field(20_000, ge=1, le=200_000)
    calls: int = Field(5_000, ge=1, le=100_000)
    calls_per_user: int = Field(1_024, ge=1, le=100_000)


class Pbx(WithPassword):
    """One PBX or dynamic PBX."""

    name: Annotated[
        str,
        shaped(r"[a-z0-9][a-z0-9_-]{0,27}", "a-z, 0-9, _ and -, at most 28 characters, like hq-berlin"),
    ]
    url: PbxUrl | None = None
    urls: tuple[PbxUrl, ...] = Field((), strict=False)
    dynamic_pbx: (
        Annotated[str, shaped(r"[A-Za-z0-9._~-]{1,64}", "the name alone: letters, digits, . _ ~ and -")]
        | None
    ) = None
    path_style: Literal["PBX0-", "PBX-"] = "PBX0-"
    username: str = Field(min_length=1)
    auth: Literal["digest", "basic"] = "digest"
    insecure: bool = False
    tls: Tls = Tls()
    session_user: str = Field(min_length=1)
    users: tuple[RuleSection, ...] = Field((), strict=False)
    calls: tuple[RuleSection, ...] = Field((), strict=False)
    transfers: bool = True
    wait_on_hook: bool = False
    device: str = ""
    poll_timeout_s: float = Field(75, gt=0, le=600)
    request_timeout_s: float = Field(10, gt=0, le=60)
    monitor_per_s: float = Field(100, gt=0, le=10_000)
    resync_grace_s: float = Field(2, gt=0, le=_GRACE_AT_MOST_S)
    end_grace_s: float = Field(2, gt=0, le=_GRACE_AT_MOST_S)
    settle_s: float | None = Field(None, gt=0, le=_GRACE_AT_MOST_S, exclude=True)
    limits: PbxLimits = PbxLimits()

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name == REPLY:
            raise ValueError(f"'{REPLY}' is reserved for reply topics; choose another name")
        return name

    @model_validator(mode="before")
    @classmethod
    def _split_settle_s(cls, values: object) -> object:
        """Read the one key that 0.1.0 had for two unrelated times; file.py warns about it."""
        if not isinstance(values, dict):
            return values
        old = values.get("settle_s")
        if not isinstance(old, int | float) or not 0 < old <= _GRACE_AT_MOST_S:
            return values  # a wrong value is reported once, for the key that has it
        return {"resync_grace_s": old, "end_grace_s": old, **values}

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.url is None) == (not self.urls):
            raise ValueError("give url, or urls for a primary and its standby")
        if self.secret is None:
            raise ValueError("give password_file (or password, for a trial)")
        if self.dynamic_pbx is not None and any(map(_complete, self.urls or (self.url or "",))):
            raise MisplacedError("the url already contains the path; remove one of them", "dynamic_pbx")
        self.reach.refuse()
        return self

    @property
    def reach(self) -> Reach:
        """How the PBX is reached. Digest authentication does not send the password."""
        urls: dict[tuple[str | int, ...], str] = {("urls", index): url for index, url in enumerate(self.urls)}
        sent = "the password (auth: basic)" if self.auth == "basic" else ""
        return Reach(self.tls, urls or {("url",): self.url or ""}, sent, self.insecure)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The complete SOAP addresses, the primary first (docs/wire.md#address)."""
        box = "PBX0" if self.dynamic_pbx is None else f"{self.path_style}{self.dynamic_pbx}"
        return tuple(
            url if _complete(url) else f"{url}/{box}/user.soap" for url in self.urls or (self.url or "",)
        )


def _complete(url: str) -> bool:
    return urlsplit(url).path.endswith(".soap")


def _known_verb(name: str) -> str:
    """Refuse an unknown verb: a configuration for another version may name it."""
    if name in VERBS or name in SETS:
        return name
    known = (*SETS, *VERBS)
    close = get_close_matches(name, known, n=1)
    hint = f" (did you mean '{close[0]}'?)" if close else f"; known: {', '.join(known)}"
    raise ValueError(f"this version has no such verb{hint}")


def _verbs(allow: "tuple[str | GrantSection, ...]") -> "tuple[str | GrantSection, ...]":
    """Replace sets by their verbs, each verb once."""
    words = [name for name in allow if isinstance(name, str)]
    verbs = dict.fromkeys(verb for name in words for verb in SETS.get(name, (name,)))
    return (*verbs, *(grant for grant in allow if not isinstance(grant, str)))


def _tag(value: object) -> str:
    """The kind of an entry of `allow`; an invalid one counts as a word."""
    return "<rule>" if isinstance(value, dict | GrantSection) else "<word>"


def _not_yet(value: object) -> object:
    if off_word(value) != "off":
        raise ValueError("not implemented yet; leave it off")
    return "off"


ReplyPattern = Annotated[str, AfterValidator(reply_topics.pattern)]
NumberPattern = Annotated[str, AfterValidator(pattern)]
ShortNumber = Annotated[str, shaped("[0-9]{1,6}", "one to six digits, in quotes")]
VerbOrSet = Annotated[str, AfterValidator(_known_verb)]


class Events(Section):
    """How many events wait for the broker, and how long."""

    max_age_s: float = Field(300, gt=0)
    max_queued: int = Field(100_000, ge=1)


class Numbers(Section):
    """Which numbers commands may call: see core/numbers.py and core/commands/dialling.py.

    `emergency` adds to the built-in numbers; `outside_line`: the prefixes for an outside line.
    """

    allow: tuple[NumberPattern, ...] = Field((), strict=False)
    deny: tuple[NumberPattern, ...] = Field((), strict=False)
    emergency: tuple[ShortNumber, ...] = Field((), strict=False)
    outside_line: tuple[ShortNumber, ...] = Field(OUTSIDE_LINE, strict=False)
    longest: int = Field(LONGEST, ge=3, le=64)


class GrantSection(Section):
    """Verbs that are allowed for some users, or on one form of topic, only."""

    verbs: Annotated[tuple[VerbOrSet, ...], AfterValidator(_verbs)] = Field(strict=False, min_length=1)
    users: tuple[RuleSection, ...] = Field((), strict=False)
    topic: Literal["user", "pbx", "any"] = "any"

    def to_grant(self) -> Grant:
        """The grant as the core knows it."""
        return Grant(frozenset(self.verbs), tuple(rule.to_rule() for rule in self.users), Form(self.topic))


Allowed = Annotated[
    Annotated[VerbOrSet, Tag("<word>")] | Annotated[GrantSection, Tag("<rule>")], Discriminator(_tag)
]


class Commands(Section):
    """Which commands are allowed. `allow` lists verbs and sets; sets are replaced by their verbs."""

    allow: Annotated[tuple[Allowed, ...], AfterValidator(_verbs)] = Field(SETS["basic"], strict=False)
    numbers: Numbers = Numbers()
    from_numbers: tuple[NumberPattern, ...] = Field((), strict=False)
    facilities: tuple[Annotated[int, Field(ge=0, le=999)], ...] = Field((), strict=False)
    types: tuple[Annotated[str, Field(max_length=64)], ...] = Field(tuple(PHONES), strict=False)
    response_topics: tuple[ReplyPattern, ...] = Field((), strict=False)
    rate_per_minute: int = Field(60, ge=1, le=6000)
    calls_per_user_per_minute: int = Field(10, ge=1, le=6000)
    clear_cause: int = Field(26, ge=1, le=127)

    def to_permissions(self) -> Permissions:
        """The permissions as the core knows them."""
        words = frozenset(name for name in self.allow if isinstance(name, str))
        grants = tuple(grant.to_grant() for grant in self.allow if not isinstance(grant, str))
        return Permissions(words, self.to_rules(), grants)

    def to_rules(self) -> DialRules:
        """The rules of dialling as the core knows them."""
        return DialRules(
            allow=self.numbers.allow,
            deny=self.numbers.deny,
            from_numbers=self.from_numbers,
            facilities=frozenset(self.facilities),
            types=frozenset(self.types),
            emergency=EMERGENCY | frozenset(self.numbers.emergency),
            outside_line=self.numbers.outside_line,
            longest=self.numbers.longest,
        )


class HomeAssistant(Section):
    """Discovery by Home Assistant: not implemented yet, so it must be off."""

    discovery: Annotated[Literal["off"], BeforeValidator(_not_yet)] = "off"
    prefix: Topic = "homeassistant"


def _own_name(host: str) -> str:
    return ascii_host(host).removesuffix(".")


class Http(Section):
    """Where metrics, health and pages are served, or off, and who may read the pages.

    `probes`: an address for health alone, which visitors need not reach. `hosts`: names of this machine.
    """

    listen: Annotated[str, OnOff] = "127.0.0.1:9642"
    probes: Annotated[str, OnOff] = "off"
    hosts: tuple[Annotated[str, AfterValidator(_own_name)], ...] = Field((), strict=False)
    pages: Literal["loopback", "all"] = "loopback"

    @field_validator("listen", "probes")
    @classmethod
    def _usable(cls, listen: str) -> str:
        if listen != "off":
            listening(listen)
        return listen

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.probes_address is not None and self.probes_address == self.address:
            raise MisplacedError("http.listen uses this address; choose another port, or off", "probes")
        return self

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of the pages, None for off."""
        return None if self.listen == "off" else listening(self.listen)

    @property
    def probes_address(self) -> tuple[str, int] | None:
        """Host and port of the probes, None for off."""
        return None if self.probes == "off" else listening(self.probes)


class Log(Section):
    """The log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class Config(Section):
    """The whole configuration."""

    mqtt: Mqtt = Mqtt()
    pbxs: tuple[Pbx, ...] = Field(strict=False, min_length=1)
    user_id: Literal["h323", "e164", "cn", "guid"] = "h323"
    events: Events = Events()
    commands: Commands = Commands()
    homeassistant: HomeAssistant = HomeAssistant()
    http: Http = Http()
    log: Log = Log()
    state_dir: PathInside | None = None

    @model_validator(mode="after")
    def _unique_names(self) -> Self:
        first: dict[str, int] = {}
        for index, pbx in enumerate(self.pbxs):
            before = first.setdefault(pbx.name, index)
            if before != index:
                raise MisplacedError("given twice", "pbxs", index, "name", see=("pbxs", before, "name"))
        return self
