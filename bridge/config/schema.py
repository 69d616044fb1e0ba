"""The schema of the configuration: names, ranges, defaults. Reads no YAML (file.py does).

The names are a public interface. Durations are numbers with the unit in the name.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_serializer,
    field_validator,
    model_validator,
)

from bridge.config.commands import Commands
from bridge.config.dial_plan import DialPlanSection
from bridge.config.home_assistant import HomeAssistant
from bridge.config.locations import Locations, auto
from bridge.config.privacy import PrivacySection
from bridge.config.rules import RuleSection
from bridge.config.tls import MqttTls, Reach, Tls
from bridge.config.types import (
    BrokerAddress,
    BrokerUrl,
    MisplacedError,
    OnOff,
    PathInside,
    PbxName,
    PbxUrl,
    Section,
    Topic,
    WithPassword,
    shaped,
    text_of_number,
)
from bridge.core.locations import Home
from bridge.net.addresses import ascii_host, listening

_GRACE_AT_MOST_S = 60
RETURN_AFTER_S = Field(60, gt=0, le=86_400)


class Mqtt(WithPassword):
    """The broker."""

    url: BrokerUrl = "mqtt://127.0.0.1:1883"
    urls: tuple[BrokerUrl, ...] = Field((), strict=False)
    return_after_s: float = RETURN_AFTER_S
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
        if self.urls and "url" in self.model_fields_set:
            raise MisplacedError("give url, or urls for a primary and its standby", "urls")
        if self.secret is not None and self.username is None:
            raise MisplacedError("a password needs a username", "username")
        if self.encode_dots and "." in self.base_topic:
            raise MisplacedError("must not contain a dot with encode_dots: true", "base_topic")
        self.reach.refuse()
        return self

    @property
    def reach(self) -> Reach:
        """How the broker is reached, and which secret the bridge sends to it."""
        places: dict[tuple[str | int, ...], str] = {
            ("urls", index): url for index, url in enumerate(self.urls)
        }
        places = places or {("url",): self.url}
        query = any(urlsplit(url).query for url in places.values())
        token = "the query of the address, which may hold a token" if query else ""
        sent = token if self.secret is None else "the password"
        return Reach(self.tls, places, sent, self.insecure)

    @property
    def brokers(self) -> tuple[BrokerAddress, ...]:
        """The addresses, the primary first."""
        return tuple(map(BrokerAddress.of, self.urls or (self.url,)))

    @field_serializer("url")
    def _url_in_force(self, url: str) -> str | None:
        return None if self.urls else _without_query(url)

    @field_serializer("urls")
    def _urls_in_force(self, urls: tuple[str, ...]) -> list[str]:
        return list(map(_without_query, urls))


def _without_query(url: str) -> str:
    """Mask the query of an address, which may hold a token."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="*" * 10 if parts.query else ""))


class PbxLimits(Section):
    """Caps on what is kept of one PBX; the rest is skipped and counted."""

    users: int = Field(20_000, ge=1, le=200_000)
    calls: int = Field(5_000, ge=1, le=100_000)
    calls_per_user: int = Field(1_024, ge=1, le=100_000)


class Pbx(WithPassword):
    """One PBX or dynamic PBX."""

    name: PbxName
    url: PbxUrl | None = None
    urls: tuple[PbxUrl, ...] = Field((), strict=False)
    return_after_s: float = RETURN_AFTER_S
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
    forwards: bool = False
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
    dial_plan: DialPlanSection | None = None
    locations: Annotated[Locations | None, BeforeValidator(auto)] = None

    @model_validator(mode="before")
    @classmethod
    def _split_settle_s(cls, values: object) -> object:
        """Read the one key that 0.1.0 had for two unrelated times; file.py warns about it."""
        if not isinstance(values, dict):
            return values
        old = values.get("settle_s")
        if isinstance(old, bool) or not isinstance(old, int | float) or not 0 < old <= _GRACE_AT_MOST_S:
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
    def all_tls(self) -> tuple[Tls, ...]:
        """Its TLS settings, and those of its locations."""
        overrides = self.locations.overrides if self.locations else ()
        return (self.tls, *(override.tls for override in overrides if override.tls is not None))

    @property
    def home(self) -> Home | None:
        """Which of the users that the PBX lists are its own; None: all."""
        return Home(frozenset({""})) if self.locations else None

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The complete SOAP addresses, the primary first (docs/wire.md#address)."""
        box = "PBX0" if self.dynamic_pbx is None else f"{self.path_style}{self.dynamic_pbx}"
        return tuple(
            url if _complete(url) else f"{url}/{box}/user.soap" for url in self.urls or (self.url or "",)
        )


def _complete(url: str) -> bool:
    return urlsplit(url).path.endswith(".soap")


class Events(Section):
    """How many events wait for the broker, and how long."""

    max_age_s: float = Field(300, gt=0)
    max_queued: int = Field(100_000, ge=1)
    max_queued_bytes: int = Field(100_000_000, ge=100_000)


def _own_name(host: str) -> str:
    return ascii_host(host).removesuffix(".")


class PhonebookSection(Section):
    """Names of numbers outside. The file may come later, and is read again whenever it changes."""

    file: PathInside | None = None


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
    starts_per_host: int = Field(8, ge=1, le=1000)
    user_id: Literal["h323", "e164", "cn", "guid"] = "h323"
    events: Events = Events()
    commands: Commands = Commands()
    dial_plan: DialPlanSection = DialPlanSection()
    phonebook: PhonebookSection = PhonebookSection()
    privacy: PrivacySection = PrivacySection()
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
