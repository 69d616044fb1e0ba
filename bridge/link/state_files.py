"""Checks owner and mode of the state directory and its files. Opens no database.

The content of these files is published in the bridge's name, so they are used only if nobody except the
bridge and root can have written them. Errors are one sentence each, for the operator.
"""

import contextlib
import grp
import os
import pwd
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ConfigError

DAMAGED = ".damaged"
DAMAGED_KEPT_S = 7 * 24 * 3600.0
"""Long enough for an operator to inspect the file; no longer, because it holds personal data."""
_BESIDE = ("-wal", "-shm", "-journal")
"""Files beside the database that SQLite trusts when it opens it."""
OWN = "give the bridge a directory of its own, of mode 0700"


@dataclass(frozen=True, slots=True)
class _Place:
    """The permitted owners of files in a directory; `is_volume`: a mount whose modes mean nothing."""

    owners: frozenset[int]
    is_volume: bool


class NotOursError(PermissionError):
    """Another user could have written this file."""


def check_folder(folder: Path | None) -> None:
    """Raise ConfigError if other users could write into the state directory."""
    if folder is None:
        return
    try:
        _look_at_folder(folder)
    except NotOursError as error:
        raise ConfigError((f"state_dir: {error}",)) from None
    except OSError:  # missing or unreadable: opening a file in it reports that
        return


def make_ours(path: Path) -> None:
    """Create the directory and the file if they do not exist. Raises OSError or NotOursError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = _look_at_folder(path.parent)
    for name in (path.name, *(f"{path.name}{ending}" for ending in _BESIDE)):
        _look_at_file(path.with_name(name), place)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def set_aside(path: Path) -> None:
    """Move a damaged file away, and delete its companions, which must not get into a new file."""
    aside = path.with_suffix(DAMAGED)
    path.replace(aside)
    os.utime(aside)
    for ending in _BESIDE:
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)


def forget_damaged(folder: Path) -> None:
    """Delete damaged files after a week."""
    with contextlib.suppress(OSError):
        for path in folder.glob(f"*{DAMAGED}"):
            if time.time() - path.lstat().st_mtime > DAMAGED_KEPT_S:
                path.unlink()


def _look_at_folder(folder: Path) -> _Place:
    status = folder.stat()
    place = _place(folder, status)
    if status.st_uid not in place.owners:
        raise NotOursError(f"{folder} belongs to {_user(status.st_uid)}, not to {_user(os.geteuid())}: {OWN}")
    if _others_write(status) and not place.is_volume:
        raise NotOursError(f"{folder} can be written by others ({_mode(status)}): chmod go-w, or {OWN}")
    above = folder.resolve().parent
    status = above.stat()
    if _others_write(status) and not status.st_mode & stat.S_ISVTX and not _is_volume(above, status):
        raise NotOursError(f"{folder} can be replaced: {above} can be written by others ({_mode(status)})")
    return place


def _place(folder: Path, status: os.stat_result) -> _Place:
    """The permitted owners: the bridge's user and root; on a network volume also the owner of all files.

    NFS (all_squash, EFS) and CIFS assign every file to one user, and CIFS gives all files one mode.
    """
    owners = frozenset({0, os.geteuid()})
    if status.st_uid not in owners and os.path.ismount(folder) and _owner_of_ours(folder) == status.st_uid:
        return _Place(owners | {status.st_uid}, is_volume=True)
    return _Place(owners, is_volume=_others_write(status) and _is_volume(folder, status))


def _owner_of_ours(folder: Path) -> int | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as made:
            return os.fstat(made.fileno()).st_uid
    except OSError:
        return None


def _look_at_file(path: Path, place: _Place) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    away = "look at it and move it away"
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no plain file"
        raise NotOursError(f"{path} is {kind}: {away}")
    if status.st_uid not in place.owners:
        raise NotOursError(f"{path} belongs to {_user(status.st_uid)}: {away}")
    if _others_write(status) and not place.is_volume:
        raise NotOursError(f"{path} can be written by others ({_mode(status)}): {away}, or chmod go-w")


def _others_write(status: os.stat_result) -> bool:
    """Whether other users may write: everyone, or a group that has other members.

    Kubernetes gives a volume to the group of the pod (fsGroup), which has no other members.
    """
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_our_group(status.st_gid)


def _is_our_group(number: int) -> bool:
    if number not in {os.getegid(), *os.getgroups()}:
        return False
    try:
        members = grp.getgrgid(number).gr_mem
    except KeyError:  # a container has no list of groups
        return True
    return not set(members) - {_user(os.geteuid())}


def _is_volume(folder: Path, status: os.stat_result) -> bool:
    """Whether this is a mount owned by root and open to all, like an emptyDir: Kubernetes controls access.

    A mount with the sticky bit does not count: /tmp is shared on purpose.
    """
    return status.st_uid == 0 and not status.st_mode & stat.S_ISVTX and os.path.ismount(folder)


def _mode(status: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(status.st_mode):04o}, group {status.st_gid}"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
