"""Secrets from files, as systemd credentials and Kubernetes secrets come. Never quoted in an error."""

import os
from pathlib import Path

LONGEST = 4096
_OTHERS = 0o007


def read_secret(path: Path) -> str:
    """The content of a secret file without its last newline. Raises ValueError with a sentence."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if mode & _OTHERS and not _is_credential(path):
        raise ValueError("can be read by everybody: chmod o-rwx")
    if len(content) > LONGEST:
        raise ValueError(f"is larger than {LONGEST} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ValueError("is empty")
    return secret


def _is_credential(path: Path) -> bool:
    """A file below systemd's credentials directory is protected by that directory."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return directory is not None and path.resolve().is_relative_to(Path(directory).resolve())
