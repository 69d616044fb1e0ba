"""What several sections of the configuration are made of: paths, secrets, URLs. Knows no section."""

import os
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from bridge.secret_files import read_secret

CREDENTIALS = "$CREDENTIALS_DIRECTORY"


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


def split_url(url: str) -> SplitResult:
    """The parts of a URL with a host. Raises ValueError without one, or with credentials in it."""
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        named = None
        parts = urlsplit("")
    if not named:
        raise ValueError("expected a URL with a host, like https://pbx.example")
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user name or password here: use username and password_file")
    return parts


def off_word(value: object) -> object:
    """The word `off`, which YAML reads as false."""
    return "off" if value is False else value


PathInside = Annotated[Path, BeforeValidator(_path), AfterValidator(_inside)]
ExistingFile = Annotated[Path, BeforeValidator(_path), AfterValidator(_existing)]
PasswordFile = Annotated[Any, BeforeValidator(_path), AfterValidator(_secret_from)]
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
