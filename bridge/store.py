"""The durable journal of one link: SQLite, one file per PBX, one transaction per commit.

What was committed survives a crash of the process (WAL without waiting for the disk: after a power cut
the last moments may be missing, never half of them). Raises nothing: a disk that is full or cannot be
written is told once, and the difference between memory and disk is written when it can be again.
"""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from bridge.core.journal import COMMANDS_AT_MOST, Kept, KeptCommand, KeptEvent
from bridge.core.ledger import REMEMBERED_S
from bridge.core.message import Json, Message

AGAIN_S = 10.0
SCHEMA = 1
TABLES = """
PRAGMA locking_mode=EXCLUSIVE;
PRAGMA journal_mode=WAL;
PRAGMA synchronous=NORMAL;
PRAGMA cache_size=-512;
CREATE TABLE IF NOT EXISTS users (topic TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, unix_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, verb TEXT NOT NULL, unix_ms INTEGER NOT NULL, reply BLOB) WITHOUT ROWID;
"""


class Store:
    """A journal in a file. `told` hears a sentence when it cannot be written, None when it can (again)."""

    def __init__(self, path: Path, told: Callable[[str | None], None]) -> None:
        self._path = path
        self._told = told
        self._users: dict[str, bytes | None] = {}
        self._events: dict[int, tuple[str, bytes, int]] = {}
        self._done: set[int] = set()
        self._commands: dict[str, tuple[str, int, bytes | None]] = {}
        self._again_s: float | None = None
        self._closed = False
        self._db: sqlite3.Connection | None = None
        try:
            self._db = _open(path)
        except (sqlite3.Error, OSError) as error:
            self._broken(error)
        else:
            told(None)

    def kept(self) -> Kept:
        """What an earlier run left; rows that cannot be read are left out."""
        if self._db is None:
            return Kept()
        try:
            return _read(self._db)
        except sqlite3.Error as error:
            self._broken(error)
            return Kept()

    def user(self, topic_id: str, payload: Json | None) -> None:
        """See Journal."""
        self._users[topic_id] = None if payload is None else orjson.dumps(payload)

    def left(self, topic_id: str, payload: Json) -> None:
        """See Journal. All states are in the file already."""

    def event(self, event: KeptEvent) -> None:
        """See Journal."""
        self._events[event.number] = event.message.topic, orjson.dumps(event.message.payload), event.unix_ms

    def event_done(self, number: int) -> None:
        """See Journal. One that was never written needs no deleting."""
        if self._events.pop(number, None) is None:
            self._done.add(number)

    def command(self, command: KeptCommand) -> None:
        """See Journal. While the file cannot be written, as many wait as a ledger knows, the newest."""
        reply = None if command.reply is None else orjson.dumps(command.reply)
        self._commands.pop(command.id, None)
        self._commands[command.id] = command.verb, command.unix_ms, reply
        if len(self._commands) > COMMANDS_AT_MOST:
            del self._commands[next(iter(self._commands))]

    def commit(self) -> None:
        """See Journal. While the file cannot be written, one try every ten seconds."""
        if self._closed or not (self._users or self._events or self._done or self._commands):
            return
        if self._again_s is not None and time.monotonic() < self._again_s:
            return
        try:
            if self._db is None:
                self._db = _open(self._path)
                _forget_earlier_run(self._db)
            with self._db:
                self._write(self._db)
        except (sqlite3.Error, OSError) as error:
            self._broken(error)
            return
        for pending in (self._users, self._events, self._done, self._commands):
            pending.clear()
        if self._again_s is not None:
            self._again_s = None
            self._told(None)

    def close(self) -> None:
        """See Journal."""
        try:
            if self._db is not None:
                self._again_s = None if self._again_s is None else 0.0
                self.commit()
        finally:
            self._closed = True
            if self._db is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._db.close()

    def _write(self, db: sqlite3.Connection) -> None:
        told = [(topic, payload) for topic, payload in self._users.items() if payload is not None]
        gone = [(topic,) for topic, payload in self._users.items() if payload is None]
        db.executemany("INSERT OR REPLACE INTO users VALUES (?, ?)", told)
        db.executemany("DELETE FROM users WHERE topic = ?", gone)
        events = [(number, *row) for number, row in self._events.items()]
        db.executemany("INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)", events)
        db.executemany("DELETE FROM events WHERE number = ?", [(number,) for number in self._done])
        commands = [(request_id, *row) for request_id, row in self._commands.items()]
        db.executemany("INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?)", commands)
        if commands:
            newest = max(unix_ms for _, _, unix_ms, _ in commands)
            db.execute("DELETE FROM commands WHERE unix_ms < ?", (newest - REMEMBERED_S * 1000,))

    def _broken(self, error: Exception) -> None:
        if self._again_s is None:
            self._told(f"{self._path} cannot be used: {error}; events wait in memory only")
        self._again_s = time.monotonic() + AGAIN_S


def _open(path: Path) -> sqlite3.Connection:
    """An open file with our tables; one that is no file of ours, or damaged, is set aside."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        path.replace(path.with_suffix(".damaged"))
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=0)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, SCHEMA}:
            raise sqlite3.DatabaseError(f"schema {version} is of another version of the bridge")  # noqa: TRY301
        db.executescript(f"{TABLES} BEGIN EXCLUSIVE; PRAGMA user_version={SCHEMA}; COMMIT;")
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
    rows = db.execute("SELECT number, topic, payload, unix_ms FROM events ORDER BY number").fetchall()
    events = [
        KeptEvent(number, Message(topic, payload), unix_ms)
        for number, topic, raw, unix_ms in rows
        if (payload := _json(raw)) is not None
    ]
    commands = [
        KeptCommand(request_id, verb, unix_ms, None if reply is None else _json(reply))
        for request_id, verb, unix_ms, reply in db.execute("SELECT * FROM commands ORDER BY unix_ms")
    ]
    return Kept(users, tuple(events), tuple(commands))


def _json(raw: bytes) -> Json | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
