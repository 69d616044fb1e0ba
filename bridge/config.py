"""The schema of the configuration: names, ranges, defaults. Reads no YAML; see config_file.py.

The names are part of the topic contract. Durations are numbers with the unit in the name.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, field_serializer, field_validator, model_validator

from bridge.addresses import listening
from bridge.config_types import (
    BROKER_PORTS,
    BrokerUrl,
    ExistingFile,
    OnOff,
    PathInside,
    PbxUrl,
    Section,
    WithPassword,
)
from bridge.core.rules import Rule
from bridge.core.verbs import VERBS

LATER_VERBS = (
    *("answer", "hold", "retrieve", "transfer", "redirect", "reroute", "pickup", "park", "dtmf", "uui"),
    *("keypad", "facility", "message", "display", "media", "find", "calls", "devices", "localize"),
    *("reachable", "locate", "version"),
)
DEFAULT_VERBS = (*VERBS, *LATER_VERBS)
KNOWN_VERBS = (*DEFAULT_VERBS, "admin")
_SHA256_LENGTH = 64


class MqttTls(Section):
    """TLS towards the broker. Without a CA file the system's CAs are used."""

    verify: bool = True
    ca_file: ExistingFile | None = None
    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None


class Mqtt(WithPassword):
    """The broker."""

    url: BrokerUrl = "mqtt://127.0.0.1:1883"
    username: str | None = None
    base_topic: str = Field("innovaphone", pattern=r"^[^+#\x00/$][^+#\x00]{0,127}$")
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive_s: int = Field(30, ge=5, le=3600)
    connect_timeout_s: float = Field(5, gt=0, le=60)
    client_id_prefix: str = Field("innovaphone-mqtt", min_length=1, max_length=64)
    clear_removed: bool = False
    tls: MqttTls = MqttTls()

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.secret is not None and self.username is None:
            raise ValueError("a password needs a username")
        return self

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
        """A query may hold a token: it is shown as stars."""
        parts = urlsplit(url)
        return urlunsplit(parts._replace(query="*" * 10 if parts.query else ""))


class PbxTls(Section):
    """How to know that it is the PBX: by a CA, or by the SHA-256 of its certificate."""

    verify: bool = True
    ca_file: ExistingFile | None = None
    sha256: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.sha256 is None:
            return self
        if not self.verify or self.ca_file is not None:
            raise ValueError("sha256 pins the certificate: leave verify and ca_file out")
        digits = set(self.pin or "")
        if len(self.pin or "") != _SHA256_LENGTH or not digits <= set("0123456789abcdef"):
            raise ValueError("sha256: expected 64 hexadecimal digits, colons allowed")
        return self

    @property
    def pin(self) -> str | None:
        """The pinned digest as 64 lower-case hexadecimal digits."""
        return None if self.sha256 is None else self.sha256.replace(":", "").lower()


class RuleSection(Section):
    """One rule: all keys must match, glob patterns allowed."""

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
            raise ValueError("active tells of a membership: name the group too")
        return self

    def to_rule(self) -> Rule:
        """The rule as the core knows it."""
        return Rule(**self.model_dump())


class Pbx(WithPassword):
    """One PBX or dynamic PBX."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,27}$")
    url: PbxUrl | None = None
    urls: tuple[PbxUrl, ...] = Field((), strict=False)
    dynamic_pbx: str | None = Field(None, pattern=r"^[A-Za-z0-9._~-]{1,64}$")
    path_style: Literal["PBX0-", "PBX-"] = "PBX0-"
    username: str = Field(min_length=1)
    auth: Literal["digest", "basic"] = "digest"
    tls: PbxTls = PbxTls()
    session_user: str = Field(min_length=1)
    users: tuple[RuleSection, ...] = Field((), strict=False)
    calls: tuple[RuleSection, ...] = Field((), strict=False)
    transfers: bool = True
    wait_on_hook: bool = False
    device: str = ""
    poll_timeout_s: float = Field(75, gt=0, le=600)
    request_timeout_s: float = Field(10, gt=0, le=60)
    monitor_per_s: float = Field(100, gt=0, le=10_000)
    settle_s: float = Field(2, gt=0, le=60)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if (self.url is None) == (not self.urls):
            raise ValueError("give url, or urls for a primary and its standby")
        if self.secret is None:
            raise ValueError("give password_file (or password, for a trial)")
        if self.dynamic_pbx is not None and any(map(_complete, self.urls or (self.url or "",))):
            raise ValueError("dynamic_pbx: the url names the path already")
        return self

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The complete SOAP addresses, the primary first (wire reference 6)."""
        box = "PBX0" if self.dynamic_pbx is None else f"{self.path_style}{self.dynamic_pbx}"
        return tuple(
            url if _complete(url) else f"{url}/{box}/user.soap" for url in self.urls or (self.url or "",)
        )


def _complete(url: str) -> bool:
    return urlsplit(url).path.endswith(".soap")


class Events(Section):
    """How long and how many events wait for the broker."""

    max_age_s: float = Field(300, gt=0)
    max_queued: int = Field(100_000, ge=1)


class Numbers(Section):
    """Which numbers may be called by command; glob patterns."""

    allow: tuple[str, ...] = Field((), strict=False)
    deny: tuple[str, ...] = Field((), strict=False)


class Commands(Section):
    """What the bus may do."""

    allow: tuple[Literal[KNOWN_VERBS], ...] = Field(DEFAULT_VERBS, strict=False)  # type: ignore[valid-type]
    numbers: Numbers = Numbers()
    rate_per_minute: int = Field(60, ge=1, le=6000)
    calls_per_user_per_minute: int = Field(10, ge=1, le=6000)
    clear_cause: int = Field(26, ge=1, le=127)


class HomeAssistant(Section):
    """Discovery; comes with a later version and must be off until then."""

    discovery: Annotated[Literal["off"], OnOff] = "off"
    prefix: str = "homeassistant"


class Http(Section):
    """Where metrics and health are served, or off."""

    listen: Annotated[str, OnOff] = "127.0.0.1:9642"

    @field_validator("listen")
    @classmethod
    def _usable(cls, listen: str) -> str:
        if listen != "off":
            listening(listen)
        return listen

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, None for off."""
        return None if self.listen == "off" else listening(self.listen)


class Log(Section):
    """Log lines."""

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
        names = [pbx.name for pbx in self.pbxs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"pbxs: the name '{twice[0]}' is given twice")
        return self
