"""The durable journal of one link: SQLite, one file per PBX, one transaction per commit.

Committed data survives a crash of the process. WAL does not wait for the disk: after a power cut the last
transactions may be missing, but never half of one. Nothing here raises: a full or read-only disk is
reported once, and the difference between memory and disk is written as soon as possible.
The event loop only collects changes; jobs in another thread, one at a time, access the file.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from bridge.core.journal import COMMANDS_AT_MOST, KeptCommand, KeptEvent, Snapshot
from bridge.core.message import Json
from bridge.link.state_files import set_aside
from bridge.link.state_tables import (
    Batch,
    forget_earlier_run,
    is_damage,
    open_file,
    prepare,
    read,
    trim,
    write,
)
from bridge.mqtt.encode import body, encode

AGAIN_S = HANGS_S = 10.0
TRIM_S = 1.0
HELD_S = 1.0
"""Longest time that a hanging disk delays publishing."""
CLOSE_S = 1.0
Job = Callable[[], Exception | None]
Run = Callable[[Job], "Future[Exception | None]"]


def at_once(job: Job) -> "Future[Exception | None]":
    """Run a job in this thread."""
    future: Future[Exception | None] = Future()
    future.set_result(job())
    return future


class Store:
    """A journal in a file. `report` gets a sentence when writing fails, and None when it works (again).

    The constructor reads the file and blocks: call it in a thread that may wait. After `serve`, jobs run as
    its argument decides; before, in the caller's thread.
    """

    def __init__(self, path: Path, report: Callable[[str | None], None]) -> None:
        self.path = path
        self._report = report
        self._run: Run = at_once
        self._kept: Snapshot | None = None
        self._on_kept: Callable[[], None] = lambda: None
        self._on_lost: Callable[[], None] = lambda: None
        self._lost = False
        self._pending, self._batch = Batch(), Batch()
        self._writing: Future[Exception | None] | None = None
        self._started, self._ended, self._began_s = 0, 0, 0.0
        self._waiting: list[asyncio.Future[None]] = []
        self._behind_since_s: float | None = None
        self._again_s: float | None = None
        self._trimmed_s = 0.0
        self._closing = self._closed = False
        self._known = self._prepared = False
        self._db: sqlite3.Connection | None = None
        try:
            self._db = open_file(path)
            self._known = True
            self._prepare(self._db)
        except (sqlite3.Error, OSError) as error:
            self._broken(error)
        else:
            report(None)

    def serve(self, run: Run) -> None:
        """Read what an earlier run left, and from now on run jobs with `run`."""
        self._kept = self.kept()
        self._run = run

    def kept(self) -> Snapshot:
        """See Journal. Unreadable rows are skipped."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        try:
            return Snapshot(whole=True) if self._db is None else read(self._db)
        except sqlite3.Error as error:
            self._broken(error)
            self._leave_damaged(error)
            return Snapshot(whole=True)

    def user(self, topic_id: str, payload: Json | bytes | None) -> None:
        """See Journal."""
        self._pending.users[topic_id] = None if payload is None else body(payload)
        self._fall_behind()

    def leave(self, users: Callable[[], Mapping[str, Json]]) -> None:
        """See Journal. All states are in the file already."""

    def event(self, event: KeptEvent) -> None:
        """See Journal."""
        row = event.message.topic, encode(event.message), event.unix_ms
        self._pending.events[event.number] = row
        self._fall_behind()

    def event_done(self, number: int) -> None:
        """See Journal. An event that was never written needs no deletion."""
        if self._pending.events.pop(number, None) is None:
            self._pending.done.add(number)

    def command(self, command: KeptCommand) -> None:
        """See Journal. While the file cannot be written, only the newest commands are kept."""
        reply = None if command.reply is None else body(command.reply)
        commands = self._pending.commands
        commands.pop(command.id, None)
        row = command.verb, command.unix_ms, reply, command.fingerprint
        commands[command.id] = None if command.retryable else row
        if len(commands) > COMMANDS_AT_MOST:
            del commands[next(iter(commands))]

    def commit(self) -> None:
        """See Journal. While the file cannot be written, it tries once in ten seconds."""
        resting = self._again_s is not None and time.monotonic() < self._again_s
        if self._writing and self._again_s is None and time.monotonic() - self._began_s >= HANGS_S:
            self._broken(TimeoutError("the disk does not answer"))
            self._release()
        if self._pending and not (self._writing or self._closing or resting):
            self._write_pending()

    async def kept_now(self) -> None:
        """See Journal."""
        self.commit()
        wanted = self._started + (1 if self._pending and self._writing else 0)
        while self._ended < wanted and self._writing is not None and self._again_s is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    @property
    def behind(self) -> bool:
        """See Journal. A disk that hangs for long or is not writable delays nothing."""
        since_s = self._behind_since_s
        return since_s is not None and self._again_s is None and time.monotonic() - since_s < HELD_S

    def on_kept(self, call: Callable[[], None]) -> None:
        """See Journal."""
        self._on_kept = call

    def on_lost(self, call: Callable[[], None]) -> None:
        """See Journal. Called after a damaged file was replaced and the new one is writable."""
        self._on_lost = call

    def close(self) -> None:
        """See Journal."""
        if not self._closing:
            self._closing = True
            self._again_s = None if self._again_s is None else 0.0
            if self._writing is None:
                self._write_last()

    async def closed(self) -> None:
        """See Journal. Does not wait for a hanging disk."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while not self._closed:
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiter)
                    await waiter

    def _fall_behind(self) -> None:
        if self._behind_since_s is None:
            self._behind_since_s = time.monotonic()

    def _write_pending(self) -> None:
        """Start to write everything collected so far."""
        self._batch, self._pending = self._pending, Batch()
        self._started, self._began_s = self._started + 1, time.monotonic()
        self._do(partial(self._write, self._batch), self._written)

    def _do(self, job: Job, then: Callable[[Exception | None], None]) -> None:
        """Run a job and pass its result to `then` in this thread."""
        future = self._run(job)
        if self._run is at_once:
            then(future.result())
        else:
            self._writing = future
            future.add_done_callback(partial(_hand_back, asyncio.get_running_loop(), then))

    def _written(self, error: Exception | None) -> None:
        self._writing = None
        self._ended += 1
        if error is None:
            self._batch = Batch()
            self._behind_since_s = time.monotonic() if self._pending.published else None
            if self._again_s is not None:
                self._again_s = None
                self._report(None)
            if self._lost:
                self._lost = False
                self._on_lost()
        else:
            self._batch, self._pending = Batch(), self._batch.followed_by(self._pending)
            self._broken(error)
        if self._closing:
            self._write_last()
        elif error is None:
            self.commit()
        self._release()

    def _write_last(self) -> None:
        """Write the rest in one attempt and close the file."""
        batch, self._pending = self._pending, Batch()
        self._do(partial(self._write_and_close, batch), self._let_go)

    def _let_go(self, error: Exception | None) -> None:
        self._writing = None
        if error is not None:
            self._broken(error)
            self._close_file()  # the job did not run if no thread could be started
        self._closed = True
        self._ended = self._started
        self._release()

    def _release(self) -> None:
        """Wake all waiters, so that they check again."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._on_kept()

    def _broken(self, error: Exception) -> None:
        if self._again_s is None:
            self._report(f"{self.path} cannot be used: {error}; events wait in memory only")
        self._again_s = time.monotonic() + AGAIN_S
        self._behind_since_s = None

    def _write(self, batch: Batch) -> Exception | None:
        """Write a batch and return the error, if any. Runs in the thread of `run`."""
        try:
            self._db = self._db or open_file(self.path)
            if not self._prepared:
                self._prepare(self._db)
            if not self._known:
                forget_earlier_run(self._db)
                self._known = True
            with self._db:
                write(self._db, batch)
                if batch.noted_ms and time.monotonic() - self._trimmed_s >= TRIM_S:
                    self._trimmed_s = time.monotonic()
                    trim(self._db, batch.noted_ms)
        except (sqlite3.Error, OSError) as error:
            self._leave_damaged(error)
            return error
        return None

    def _prepare(self, db: sqlite3.Connection) -> None:
        prepare(db)
        self._prepared = True

    def _leave_damaged(self, error: Exception) -> None:
        """Move a damaged file away: it does not heal, and the next attempt creates a new one."""
        if self._db is not None and is_damage(error):
            db, self._db, self._lost, self._prepared = self._db, None, True, False
            with contextlib.suppress(sqlite3.Error, OSError):
                db.close()
                set_aside(self.path)

    def _write_and_close(self, batch: Batch) -> Exception | None:
        error = self._write(batch) if batch and self._db is not None else None
        self._close_file()
        return error

    def _close_file(self) -> None:
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()


def _hand_back(
    loop: asyncio.AbstractEventLoop,
    then: Callable[[Exception | None], None],
    done: "Future[Exception | None]",
) -> None:
    """Pass the result of a job to the event loop, from the thread that ran it. One that has ended needs none.

    An OSError means that no thread could run the job; anything else is a bug. For a few microseconds less
    than `asyncio.wrap_future`, which makes another future.
    """

    def tell() -> None:
        try:
            result = done.result()
        except OSError as error:
            result = error
        then(result)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)
