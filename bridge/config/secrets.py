"""Read secrets from files, as systemd, Docker and Kubernetes provide them. Quotes none in an error."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

LONGEST = 4096
_OTHERS = 0o007


@dataclass(frozen=True, slots=True)
class Secret:
    """The content of a file, with a warning if the file is usable but exposed."""

    text: str = field(repr=False)
    warning: str | None = None


def read_secret(path: Path) -> Secret:
    """The secret in a file, without byte order mark and trailing newlines. Raises ValueError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        with path.open("rb") as file:
            content = file.read(LONGEST + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    warning = exposure(path)
    if len(content) > LONGEST:
        raise ValueError(f"is larger than {LONGEST} bytes")
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if not text:
        raise ValueError("is empty")
    return Secret(text, warning)


def exposure(path: Path) -> str | None:
    """A warning if others can read a secret file and this user cannot change that.

    Raises ValueError with a sentence if this user can change it.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if not status.st_mode & _OTHERS or _is_credential(path):
        return None
    if _may_be_closed(path, status):
        raise ValueError("is readable by everybody: chmod o-rwx")
    return "is readable by everybody on this machine"


def _may_be_closed(path: Path, status: os.stat_result) -> bool:
    """Whether this user can change the mode; in a container nobody can, for a mounted secret."""
    mine = os.geteuid() in {0, status.st_uid}
    return mine and not os.statvfs(path).f_flag & os.ST_RDONLY


def _is_credential(path: Path) -> bool:
    """A file below systemd's credentials directory is protected by that directory."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return directory is not None and path.resolve().is_relative_to(Path(directory).resolve())
