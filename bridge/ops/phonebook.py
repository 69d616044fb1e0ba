"""Reads the file of the phonebook whenever it has changed, and logs what is wrong with it. Shows no names."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import structlog

from bridge.core.phonebook import Phonebook, phonebook

FILE_BYTES = 8 * 2**20
LOOK_S = 5.0
HINT = "names are those of the last file that could be read"
Signature = tuple[int, int, int] | None
Written = Callable[[str], str]


class PhonebookFile:
    """One file, and the phonebook that was in it when it could be read last. `read` blocks."""

    def __init__(self, path: Path | None, written: Written) -> None:
        self.path = path
        self.phonebook = Phonebook()
        self._written = written
        self._seen: Signature = None
        self._problem = ""
        self._log = structlog.get_logger()

    def read(self) -> bool:
        """Read the file if it has changed. Tells whether the names have."""
        if self.path is None:
            return False
        try:
            signature = _signature(self.path)
            if signature == self._seen:
                return False
            found = phonebook(_content(self.path), self._written)
        except OSError as error:
            self._say(error.strerror or str(error))
            self._seen = None
            return False
        self._seen = signature
        self._say("")
        self._report(found)
        changed = found.names != self.phonebook.names
        self.phonebook = found
        return changed

    def _report(self, found: Phonebook) -> None:
        for problem in found.problems:
            self._log.warning("phonebook entry left out", file=str(self.path), problem=problem)
        unnamed = found.left_out - len(found.problems)
        self._log.info("phonebook read", file=str(self.path), numbers=len(found.names), not_named=unnamed)

    def _say(self, problem: str) -> None:
        """Log a problem of the file once."""
        if problem and problem != self._problem:
            self._log.warning("phonebook cannot be read", file=str(self.path), reason=problem, hint=HINT)
        self._problem = problem


async def watch(current: Callable[[], PhonebookFile], changed: Callable[[], None]) -> None:
    """Look at the file every few seconds, on a thread: disks may hang."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(LOOK_S)
        if await loop.run_in_executor(None, current().read):
            changed()


def _signature(path: Path) -> Signature:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path) -> bytes:
    """The bytes of a regular file, with a limit. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "not a regular file")
        content = file.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise OSError(0, f"is larger than {FILE_BYTES // 2**20} MiB")
    return content
