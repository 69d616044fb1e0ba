"""Types that several sections of the configuration share: paths, secrets, URLs. Knows no section."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from bridge.config.secrets import read_secret
from bridge.core.topics import REPLY
from bridge.net.addresses import split

LONGEST_TOPIC = 128
CREDENTIALS = "$CREDENTIALS_DIRECTORY"
BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


class MisplacedError(ValueError):
    """A problem of one key of a section. `place`: where in it; `see`: a key it collides with."""

    def __init__(self, sentence: str, *place: str | int, see: tuple[str | int, ...] = ()) -> None:
        super().__init__(sentence)
        self.place = place
        self.see = see


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """An address of a broker, parsed. `websocket_path`: with its query, None for TCP."""

    host: str
    port: int
    encrypted: bool
    websocket_path: str | None

    @property
    def place(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port

    @classmethod
    def of(cls, url: str) -> Self:
        """Parse a URL that BrokerUrl has accepted. The path of a WebSocket is /mqtt where none is given."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        path = (parts.path or "/mqtt") + query if parts.scheme in {"ws", "wss"} else None
        port = parts.port or BROKER_PORTS[parts.scheme]
        return cls(parts.hostname or "", port, parts.scheme in {"mqtts", "wss"}, path)


class FileSecret(SecretStr):
    """A secret from a file, with a warning if the file is usable but exposed."""

    def __init__(self, text: str, warning: str | None) -> None:
        super().__init__(text)
        self.warning = warning


def _inside(path: Path, info: ValidationInfo) -> Path:
    """Resolve a relative path against the folder of the configuration file, or systemd's credentials."""
    if path.parts[:1] == (CREDENTIALS,):
        given = os.environ.get(CREDENTIALS.removeprefix("$"))
        if not given:
            raise ValueError(f"{CREDENTIALS} is set only in a systemd service with LoadCredential=")
        return Path(given, *path.parts[1:])
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def _existing(path: Path, info: ValidationInfo) -> Path:
    """Resolve the path of a file. The errors do not quote it: it may be a password on the wrong line."""
    found = _inside(path, info)
    if os.path.isfile(found):  # noqa: PTH113  (Path.is_file raises where a folder may not be read)
        return found
    if os.path.exists(found):  # noqa: PTH110  (same)
        raise ValueError("a folder, a pipe or a device: give the path of a regular file")
    raise ValueError(
        "no such file, or no permission to see it; relative paths start at the folder of this file"
    )


def _secret_from(path: object, info: ValidationInfo) -> FileSecret | None:
    if path is None:
        return None
    if not isinstance(path, Path):
        raise ValueError("expected the path of a file")  # noqa: TRY004  (pydantic wants ValueErrors)
    found = _existing(path, info)
    try:
        secret = read_secret(found)
    except ValueError as error:
        raise ValueError(f"'{found}' {error}") from None
    return FileSecret(secret.text, secret.warning and f"'{found}' {secret.warning}")


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _broker_url(url: str) -> str:
    parts = split(url, tuple(BROKER_PORTS), "mqtt://broker.example")
    if "#" in url or not (parts.path + parts.query).isascii():
        raise ValueError("contains # or a character that is not ASCII: percent-encode it, like %23")
    if parts.scheme in {"mqtt", "mqtts"} and (parts.path.strip("/") or "?" in url):
        raise ValueError("only ws:// and wss:// may have a path or a query")
    return urlunsplit(parts)


def pbx_url(url: str) -> str:
    """The address of a PBX in its usual form. Raises ValueError with a sentence for people."""
    parts = split(url, ("http", "https"), "https://pbx.example")
    path = parts.path.rstrip("/")
    if "?" in url or "#" in url or (path and not path.endswith(".soap")) or not path.isascii():
        raise ValueError("give only the host, or the full address ending in /user.soap")
    return urlunsplit(parts._replace(path=path))


def _free(name: str) -> str:
    if name == REPLY:
        raise ValueError(f"'{REPLY}' is reserved for reply topics; choose another name")
    return name


def off_word(value: object) -> object:
    """Undo YAML, which reads the word `off` as false."""
    return "off" if value is False else value


def _topic(topic: str) -> str:
    topic = topic.rstrip("/")
    if not topic.isprintable() or set("+#") & set(topic) or topic.startswith("$"):
        raise ValueError("a topic must not contain +, # or control characters, or begin with $")
    if not all(topic.split("/")):
        raise ValueError("a topic level is empty: remove the leading or double slash")
    if len(topic.encode(errors="replace")) > LONGEST_TOPIC:
        raise ValueError(f"the topic is longer than {LONGEST_TOPIC} bytes")
    return topic


def text_of_number(value: object) -> object:
    """Undo YAML, which reads a version like 5 as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def shaped(pattern: str, words: str) -> AfterValidator:
    """Text that matches a pattern; `words` describe the pattern in the error."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {words}")
        return value

    return AfterValidator(check)


PathInside = Annotated[Path, BeforeValidator(_path), AfterValidator(_inside)]
ExistingFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_existing)]
PasswordFile = Annotated[Any, BeforeValidator(_path), AfterValidator(_secret_from)]
BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
PbxUrl = Annotated[str, AfterValidator(pbx_url)]
Topic = Annotated[str, AfterValidator(_topic)]
OnOff = BeforeValidator(off_word)
PbxName = Annotated[
    str,
    shaped(r"[a-z0-9][a-z0-9_-]{0,27}", "a-z, 0-9, _ and -, at most 28 characters, like hq-berlin"),
    AfterValidator(_free),
]


class Section(BaseModel):
    """Base of all sections: frozen, strict types, no unknown keys, no input quoted in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, strict=True, allow_inf_nan=False
    )


class WithPassword(Section):
    """A section with a password, inline (for trials) or in a file."""

    password: SecretStr | None = None
    password_file: PasswordFile | None = None

    @property
    def secret(self) -> str | None:
        """The password, from either key."""
        given = self.password or self.password_file
        return given.get_secret_value() if isinstance(given, SecretStr) else None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise MisplacedError("give password or password_file, not both", "password_file")
        return self
