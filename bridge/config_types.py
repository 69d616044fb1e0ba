"""What several sections of the configuration are made of: paths, secrets, URLs. Knows no section."""

import os
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlunsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from bridge.addresses import split
from bridge.secret_files import read_secret

CREDENTIALS = "$CREDENTIALS_DIRECTORY"
BROKER_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}


def _inside(path: Path, info: ValidationInfo) -> Path:
    """A path that is not absolute starts at the folder of the configuration file, or at the credentials."""
    if path.parts[:1] == (CREDENTIALS,):
        given = os.environ.get(CREDENTIALS.removeprefix("$"))
        if not given:
            raise ValueError(f"{CREDENTIALS} is there for a service of systemd with LoadCredential= only")
        return Path(given, *path.parts[1:])
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / path


def _existing(path: Path, info: ValidationInfo) -> Path:
    found = _inside(path, info)
    if not found.is_file():
        raise ValueError(f"there is no file '{found}'")
    return found


def _secret_from(path: Path, info: ValidationInfo) -> SecretStr:
    found = _inside(path, info)
    try:
        return SecretStr(read_secret(found))
    except ValueError as error:
        raise ValueError(f"'{found}' {error}") from None


def _path(value: object) -> object:
    return Path(value) if isinstance(value, str) else value


def _broker_url(url: str) -> str:
    parts = split(url, tuple(BROKER_PORTS), "mqtt://broker.example")
    if "#" in url or not (parts.path + parts.query).isascii():
        raise ValueError("a # or a character that is not ASCII: write it as %23 and the like")
    if parts.scheme in {"mqtt", "mqtts"} and (parts.path.strip("/") or "?" in url):
        raise ValueError("only ws:// and wss:// have a path or a query")
    return urlunsplit(parts)


def _pbx_url(url: str) -> str:
    parts = split(url, ("http", "https"), "https://pbx.example")
    path = parts.path.rstrip("/")
    if "?" in url or "#" in url or (path and not path.endswith(".soap")) or not path.isascii():
        raise ValueError("give the host only, or the full address that ends in /user.soap")
    return urlunsplit(parts._replace(path=path))


def off_word(value: object) -> object:
    """The word `off`, which YAML reads as false."""
    return "off" if value is False else value


PathInside = Annotated[Path, BeforeValidator(_path), AfterValidator(_inside)]
ExistingFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_existing)]
PasswordFile = Annotated[Any, BeforeValidator(_path), AfterValidator(_secret_from)]
BrokerUrl = Annotated[str, AfterValidator(_broker_url)]
PbxUrl = Annotated[str, AfterValidator(_pbx_url)]
OnOff = BeforeValidator(off_word)


class Section(BaseModel):
    """Every section: frozen, exact types, unknown keys refused, input never quoted in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=True)


class WithPassword(Section):
    """A section with a password: inline, for trials, or in a file."""

    password: SecretStr | None = None
    password_file: PasswordFile | None = None

    @property
    def secret(self) -> str | None:
        """The password, whichever way it came."""
        given = self.password or self.password_file
        return given.get_secret_value() if isinstance(given, SecretStr) else None

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        return self
