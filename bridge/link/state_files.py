"""Who else may touch the state directory and its files. Opens no database; says no in one sentence.

What stands in these files is published in the bridge's name: they are used only where nobody but the bridge
and root can have put it there.
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
"""Long enough to be looked at; it holds calls."""
_BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a file, and believes when it opens it."""
OWN = "give the bridge a directory of its own, of mode 0700"


@dataclass(frozen=True, slots=True)
class _Place:
    """Who may own files in a directory, and whether it is a volume, of which modes say nothing."""

    owners: frozenset[int]
    is_volume: bool


class NotOursError(PermissionError):
    """A file that somebody else could have written."""


def check_folder(folder: Path | None) -> None:
    """Refuse a state directory that others could write into. Raises ConfigError."""
    if folder is None:
        return
    try:
        _look_at_folder(folder)
    except NotOursError as error:
        raise ConfigError((f"state_dir: {error}",)) from None
    except OSError:  # it is not there yet, or cannot be read: who opens a file in it says so
        return


def make_ours(path: Path) -> None:
    """Make the directory and the file where they are not there. Raises OSError, and NotOursError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    place = _look_at_folder(path.parent)
    for name in (path.name, *(f"{path.name}{ending}" for ending in _BESIDE)):
        _look_at_file(path.with_name(name), place)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def set_aside(path: Path) -> None:
    """Keep a damaged file for a week; what SQLite had beside it must not get into a new one."""
    aside = path.with_suffix(DAMAGED)
    path.replace(aside)
    os.utime(aside)
    for ending in _BESIDE:
        path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)


def forget_damaged(folder: Path) -> None:
    """Delete the damaged files that are older than a week."""
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
    """Ourselves, and root, who can do everything anyway; and on a volume the one who owns all that we write.

    NFS (all_squash, EFS) and CIFS give every file to one user, whoever writes it, and CIFS one mode to all.
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
    """Everybody may, or a group that is not ours alone.

    Kubernetes gives a volume to the group of the pod (fsGroup), which nobody else is in.
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
    """A volume of root's that is open to all, as Kubernetes mounts an emptyDir: who sees it is decided there.

    Not one with the sticky bit: /tmp is shared on purpose.
    """
    return status.st_uid == 0 and not status.st_mode & stat.S_ISVTX and os.path.ismount(folder)


def _mode(status: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(status.st_mode):04o}, group {status.st_gid}"


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
