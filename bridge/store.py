"""The durable journal of one link: SQLite, one file per PBX, one transaction per commit.

What was committed survives a crash of the process (WAL without waiting for the disk: after a power cut
the last moments may be missing, never half of them). Raises nothing: a disk that is full or cannot be
written is told once, and the difference between memory and disk is written when it can be again.
The event loop only notes what is to be written; the file is touched by jobs in another thread, one at a time.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Self

import orjson

from bridge.core.journal import COMMANDS_AT_MOST, Kept, KeptCommand, KeptEvent
from bridge.core.ledger import REMEMBERED_S
from bridge.core.message import Json, Message
from bridge.state_files import forget_damaged, make_ours, set_aside

AGAIN_S = 10.0
TRIM_S = 1.0
HELD_S = 1.0
"""How long a disk that hangs may hold back what is to be published."""
CLOSE_S = 1.0
SCHEMA = 2
TABLES = """
PRAGMA secure_delete=ON;
PRAGMA locking_mode=EXCLUSIVE;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
PRAGMA cache_size=-512;
CREATE TABLE IF NOT EXISTS users (topic TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, unix_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, verb TEXT NOT NULL, unix_ms INTEGER NOT NULL, reply BLOB,
    fingerprint TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
"""
INDEX = "CREATE INDEX IF NOT EXISTS commands_by_age ON commands (unix_ms);"
FROM_0_1_0 = "ALTER TABLE commands ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';"
NEWEST = "SELECT id, verb, unix_ms, reply, fingerprint FROM commands ORDER BY unix_ms DESC LIMIT ?"
SURPLUS = "DELETE FROM commands WHERE id IN (SELECT id FROM commands ORDER BY unix_ms DESC LIMIT -1 OFFSET ?)"
Job = Callable[[], Exception | None]
Run = Callable[[Job], "Future[Exception | None]"]


def at_once(job: Job) -> "Future[Exception | None]":
    """Run a job in this thread."""
    future: Future[Exception | None] = Future()
    future.set_result(job())
    return future


@dataclass(slots=True)
class Batch:
    """What one transaction writes. None deletes a user or a command."""

    users: dict[str, bytes | None] = field(default_factory=dict)
    events: dict[int, tuple[str, bytes, int]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    commands: dict[str, tuple[str, int, bytes | None, str] | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.users or self.events or self.done or self.commands)

    @property
    def told(self) -> bool:
        """Something is in it that is published too."""
        return bool(self.users or self.events)

    @property
    def noted_ms(self) -> int:
        """When the last of its commands was noted; 0 without one."""
        return next((row[1] for row in reversed(self.commands.values()) if row is not None), 0)

    def followed_by(self, later: Self) -> Self:
        """Both in one, the later one wins; as many commands as a ledger knows, the newest."""
        events = {number: row for number, row in self.events.items() if number not in later.done}
        never_written = later.done & self.events.keys()
        commands = {key: row for key, row in self.commands.items() if key not in later.commands}
        newest = [*commands.items(), *later.commands.items()][-COMMANDS_AT_MOST:]
        return type(self)(
            self.users | later.users,
            events | later.events,
            self.done | (later.done - never_written),
            dict(newest),
        )


class Store:
    """A journal in a file. `told` hears a sentence when it cannot be written, None when it can (again).

    Opening reads the file: make it where waiting does no harm, then let `run` say in which thread it is
    written. Until then that is the thread of the caller.
    """

    def __init__(self, path: Path, told: Callable[[str | None], None]) -> None:
        self.path = path
        self._told = told
        self._run: Run = at_once
        self._kept: Kept | None = None
        self._on_kept: Callable[[], None] = lambda: None
        self._pending, self._batch = Batch(), Batch()
        self._writing: asyncio.Future[Exception | None] | None = None
        self._started, self._ended = 0, 0
        self._waiting: list[asyncio.Future[None]] = []
        self._behind_since_s: float | None = None
        self._again_s: float | None = None
        self._trimmed_s = 0.0
        self._closing = self._closed = False
        self._db: sqlite3.Connection | None = None
        try:
            self._db = _open(path)
        except (sqlite3.Error, OSError) as error:
            self._broken(error)
        else:
            told(None)

    def serve(self, run: Run) -> None:
        """Write with `run` from now on; what an earlier run left has been read."""
        self._kept = self.kept()
        self._run = run

    def kept(self) -> Kept:
        """What an earlier run left; rows that cannot be read are left out."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            return kept
        if self._db is None:
            return Kept(whole=True)
        try:
            return _read(self._db)
        except sqlite3.Error as error:
            self._broken(error)
            return Kept(whole=True)

    def user(self, topic_id: str, payload: Json | None) -> None:
        """See Journal."""
        self._pending.users[topic_id] = None if payload is None else orjson.dumps(payload)
        self._fall_behind()

    def leave(self, users: Mapping[str, Json]) -> None:
        """See Journal. All states are in the file already."""

    def event(self, event: KeptEvent) -> None:
        """See Journal."""
        row = event.message.topic, orjson.dumps(event.message.payload), event.unix_ms
        self._pending.events[event.number] = row
        self._fall_behind()

    def event_done(self, number: int) -> None:
        """See Journal. One that was never written needs no deleting."""
        if self._pending.events.pop(number, None) is None:
            self._pending.done.add(number)

    def command(self, command: KeptCommand) -> None:
        """See Journal. While the file cannot be written, as many wait as a ledger knows, the newest."""
        reply = None if command.reply is None else orjson.dumps(command.reply)
        commands = self._pending.commands
        commands.pop(command.id, None)
        row = command.verb, command.unix_ms, reply, command.fingerprint
        commands[command.id] = None if command.retryable else row
        if len(commands) > COMMANDS_AT_MOST:
            del commands[next(iter(commands))]

    def commit(self) -> None:
        """See Journal. While the file cannot be written, one try every ten seconds."""
        resting = self._again_s is not None and time.monotonic() < self._again_s
        if self._pending and not (self._writing or self._closing or resting):
            self._write_pending()

    async def kept_now(self) -> None:
        """See Journal."""
        self.commit()
        wanted = self._started + (1 if self._pending and self._writing else 0)
        while self._ended < wanted and self._writing is not None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    @property
    def behind(self) -> bool:
        """See Journal. A disk that hangs, or cannot be written, holds nothing back."""
        since_s = self._behind_since_s
        return since_s is not None and self._again_s is None and time.monotonic() - since_s < HELD_S

    def on_kept(self, call: Callable[[], None]) -> None:
        """See Journal."""
        self._on_kept = call

    def close(self) -> None:
        """See Journal."""
        if not self._closing:
            self._closing = True
            self._again_s = None if self._again_s is None else 0.0
            if self._writing is None:
                self._write_last()

    async def closed(self) -> None:
        """See Journal. A disk that hangs is not waited for."""
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
        """Let what was said until now be written."""
        self._batch, self._pending = self._pending, Batch()
        self._started += 1
        self._do(partial(self._write, self._batch), self._written)

    def _do(self, job: Job, then: Callable[[Exception | None], None]) -> None:
        """Run a job; `then` hears of it in this thread."""
        future = self._run(job)
        if self._run is at_once:
            then(future.result())
        else:
            self._writing = asyncio.wrap_future(future)
            self._writing.add_done_callback(lambda done: then(_result(done)))

    def _written(self, error: Exception | None) -> None:
        self._writing = None
        self._ended += 1
        if error is None:
            self._batch = Batch()
            self._behind_since_s = time.monotonic() if self._pending.told else None
            if self._again_s is not None:
                self._again_s = None
                self._told(None)
        else:
            self._batch, self._pending = Batch(), self._batch.followed_by(self._pending)
            self._broken(error)
        if self._closing:
            self._write_last()
        elif error is None:
            self.commit()
        self._release()

    def _write_last(self) -> None:
        """What is left, in one try, and let go of the file."""
        batch, self._pending = self._pending, Batch()
        self._do(partial(self._write_and_close, batch), self._let_go)

    def _let_go(self, error: Exception | None) -> None:
        self._writing = None
        if error is not None:
            self._broken(error)
        self._closed = True
        self._ended = self._started
        self._release()

    def _release(self) -> None:
        """Whoever waits looks again."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._on_kept()

    def _broken(self, error: Exception) -> None:
        if self._again_s is None:
            self._told(f"{self.path} cannot be used: {error}; events wait in memory only")
        self._again_s = time.monotonic() + AGAIN_S
        self._behind_since_s = None

    def _write(self, batch: Batch) -> Exception | None:
        """Write a batch; the error if it could not be written. In the thread of `run`."""
        try:
            if self._db is None:
                self._db = _open(self.path)
                _forget_earlier_run(self._db)
            with self._db:
                _write_rows(self._db, batch)
                if batch.noted_ms and time.monotonic() - self._trimmed_s >= TRIM_S:
                    self._trimmed_s = time.monotonic()
                    _trim(self._db, batch.noted_ms)
        except (sqlite3.Error, OSError) as error:
            return error
        return None

    def _write_and_close(self, batch: Batch) -> Exception | None:
        error = self._write(batch) if batch and self._db is not None else None
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
        return error


def _result(done: "asyncio.Future[Exception | None]") -> Exception | None:
    """An OSError says that the job could not be run; anything else is a bug."""
    try:
        return done.result()
    except OSError as error:
        return error


def _write_rows(db: sqlite3.Connection, batch: Batch) -> None:
    told = [(topic, payload) for topic, payload in batch.users.items() if payload is not None]
    gone = [(topic,) for topic, payload in batch.users.items() if payload is None]
    db.executemany("INSERT OR REPLACE INTO users VALUES (?, ?)", told)
    db.executemany("DELETE FROM users WHERE topic = ?", gone)
    events = [(number, *row) for number, row in batch.events.items()]
    db.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)", events)
    db.executemany("DELETE FROM events WHERE number = ?", [(number,) for number in batch.done])
    commands = [(request_id, *row) for request_id, row in batch.commands.items() if row is not None]
    retried = [(request_id,) for request_id, row in batch.commands.items() if row is None]
    db.executemany("INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?)", commands)
    db.executemany("DELETE FROM commands WHERE id = ?", retried)


def _trim(db: sqlite3.Connection, now_ms: int) -> None:
    """Forget the commands that a ledger would have forgotten. Both steps use the index.

    What is dated in the future was noted before the clock was set back: it is no reason to forget the rest.
    """
    db.execute("DELETE FROM commands WHERE unix_ms < ?", (now_ms - REMEMBERED_S * 1000,))
    db.execute(SURPLUS, (COMMANDS_AT_MOST,))


def _open(path: Path) -> sqlite3.Connection:
    """An open file with our tables; one that is no file of ours, or damaged, is set aside."""
    make_ours(path)
    forget_damaged(path.parent)
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        set_aside(path)
        make_ours(path)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=0, check_same_thread=False)  # one job at a time uses it
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, 1, SCHEMA}:
            raise sqlite3.DatabaseError(f"schema {version} is of another version of the bridge")  # noqa: TRY301
        change = FROM_0_1_0 if version == 1 else ""
        db.executescript(f"{TABLES} BEGIN EXCLUSIVE; {change} {INDEX} PRAGMA user_version={SCHEMA}; COMMIT;")
    except BaseException:
        db.close()
        raise
    return db


def _forget_earlier_run(db: sqlite3.Connection) -> None:
    """The file became usable late: what memory holds is newer than all that is in it."""
    with db:
        for table in ("users", "events", "commands"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608  (our own three names)


def _read(db: sqlite3.Connection) -> Kept:
    users = {topic: _json(payload) for topic, payload in db.execute("SELECT topic, payload FROM users")}
    unsent = db.execute("SELECT number, topic, payload, unix_ms FROM events ORDER BY number").fetchall()
    events = [
        KeptEvent(number, Message(topic, payload), unix_ms)
        for number, topic, raw, unix_ms in unsent
        if (payload := _json(raw)) is not None
    ]
    rows = db.execute(NEWEST, (COMMANDS_AT_MOST,)).fetchall()
    newest_first = [
        KeptCommand(request_id, verb, unix_ms, None if reply is None else _json(reply), fingerprint)
        for request_id, verb, unix_ms, reply, fingerprint in rows
    ]
    return Kept(users, tuple(events), tuple(reversed(newest_first)), whole=True)


def _json(raw: bytes) -> Json | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
