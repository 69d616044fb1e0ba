"""Reads the file of the phonebook whenever it has changed, and logs what is wrong with it. Shows no names."""

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from bridge.core.phonebook import Phonebook, phonebook

FILE_BYTES = 8 * 2**20
LOOK_S = 5.0
READ_S = 3.0
"""A start and a reload wait this long for a disk that hangs."""
HINT = "names are those of the last file that could be read"
Signature = tuple[int, int, int] | None
Written = Callable[[str], str]


class PhonebookFile:
    """One file, and the phonebook that was in it when it could be read last. `read` blocks.

    A disk that hangs keeps one thread, not another one with each look at it.
    """

    def __init__(self, path: Path | None, written: Written) -> None:
        self.path = path
        self.phonebook = Phonebook()
        self._written = written
        self._seen: Signature = None
        self._problem = ""
        self._reading = threading.Lock()
        self._log = structlog.get_logger()

    def read(self) -> bool:
        """Read the file if it has changed and nobody is reading it. Tells whether the names have changed."""
        if self.path is None or not self._reading.acquire(blocking=False):
            return False
        try:
            return self._read(self.path)
        finally:
            self._reading.release()

    def _read(self, path: Path) -> bool:
        try:
            signature = _signature(path)
            if signature == self._seen:
                return False
            found = phonebook(_content(path), self._written)
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
        if not found.names:
            self._log.warning("phonebook has no names", file=str(self.path), reason=_nothing(found))
            return
        for problem in found.problems:
            self._log.warning("phonebook entry left out", file=str(self.path), problem=problem)
        unnamed = found.left_out - len(found.problems)
        self._log.info("phonebook read", file=str(self.path), numbers=len(found.names), not_named=unnamed)

    def _say(self, problem: str) -> None:
        """Log a problem of the file once."""
        if problem and problem != self._problem:
            self._log.warning("phonebook cannot be read", file=str(self.path), reason=problem, hint=HINT)
        self._problem = problem


async def read_soon(book: PhonebookFile, late: Callable[[], None]) -> None:
    """Read the file, but do not wait for a disk that hangs: `late` is called when it brings other names."""
    reading = asyncio.get_running_loop().run_in_executor(None, book.read)
    done, _ = await asyncio.wait({reading}, timeout=READ_S)
    if done:
        await reading
        return
    reason = f"the disk has not answered for {READ_S:g} s"
    structlog.get_logger().warning("phonebook cannot be read", file=str(book.path), reason=reason, hint=HINT)
    reading.add_done_callback(lambda answered: late() if answered.result() else None)


def doubt(path: Path, written: Written) -> str | None:
    """Why no name can be taken from a file now, or None. Blocks."""
    try:
        found = phonebook(_content(path), written)
    except OSError as error:
        return f"{error.strerror or error}: there are no names until it can be read"
    return None if found.names else _nothing(found)


def _nothing(found: Phonebook) -> str:
    """Why a file has no names."""
    if not found.left_out:
        return "no name and number in it"
    return f"not one of its {found.left_out} entries can be used; {found.problems[0]}"


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
