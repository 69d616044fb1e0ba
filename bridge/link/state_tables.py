"""The state file of one PBX: tables, transactions, and reading at the start. Blocks; starts no thread.

Opening a valid file writes nothing, so that the bridge can start on a full disk.
"""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import orjson

from bridge.core.commands.dedup import REMEMBERED_S
from bridge.core.journal import COMMANDS_AT_MOST, KeptCommand, KeptEvent, Snapshot
from bridge.core.message import Json, Message
from bridge.link.state_files import forget_damaged, make_ours, set_aside

SCHEMA = 2
SETTINGS = """
PRAGMA secure_delete=ON;
PRAGMA locking_mode=EXCLUSIVE;
PRAGMA synchronous=NORMAL;
PRAGMA cache_size=-512;
"""
TABLES = """
CREATE TABLE IF NOT EXISTS users (topic TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, unix_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, verb TEXT NOT NULL, unix_ms INTEGER NOT NULL, reply BLOB,
    fingerprint TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
"""
INDEX = "CREATE INDEX IF NOT EXISTS commands_by_age ON commands (unix_ms);"
FROM_0_1_0 = "ALTER TABLE commands ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';"
PUT_USER = "INSERT INTO users VALUES (?, ?) ON CONFLICT (topic) DO UPDATE SET payload = excluded.payload"
PUT_EVENT = "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)"
PUT_COMMAND = "INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?)"
NEWEST = "SELECT * FROM commands WHERE typeof(unix_ms) = 'integer' ORDER BY unix_ms DESC LIMIT ?"
UNSENT = "SELECT number, topic, payload, unix_ms FROM events WHERE number < ? ORDER BY number"
LARGEST_NUMBER = 2**53
"""Greatest number of an event that is read; new events are numbered after it."""
SURPLUS = "DELETE FROM commands WHERE id IN (SELECT id FROM commands ORDER BY unix_ms DESC LIMIT -1 OFFSET ?)"


@dataclass(slots=True)
class Batch:
    """The content of one transaction. None deletes a user or a command."""

    users: dict[str, bytes | None] = field(default_factory=dict)
    events: dict[int, tuple[str, bytes, int]] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    commands: dict[str, tuple[str, int, bytes | None, str] | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.users or self.events or self.done or self.commands)

    @property
    def published(self) -> bool:
        """Whether it contains something that is also published."""
        return bool(self.users or self.events)

    @property
    def noted_ms(self) -> int:
        """Time of its newest command in Unix milliseconds; 0 if it has none."""
        return next((row[1] for row in reversed(self.commands.values()) if row is not None), 0)

    def followed_by(self, later: Self) -> Self:
        """Merge two batches; the later one wins. Of the commands, the newest are kept."""
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


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file, for `prepare`. A damaged or foreign file is moved away first."""
    make_ours(path)
    forget_damaged(path.parent)
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        set_aside(path)
        make_ours(path)
        return _opened(path)


def is_damage(error: Exception) -> bool:
    """Whether the file itself is damaged: unlike with a lock or a full disk, retrying does not help."""
    return type(error) is sqlite3.DatabaseError  # its subclasses report other problems


def _opened(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=0, check_same_thread=False)  # one job at a time uses it
    db.text_factory = _text
    try:
        db.executescript(SETTINGS)
        version = _version(db)
        if version not in {0, 1, SCHEMA}:
            raise sqlite3.DatabaseError(f"schema {version} is of another version of the bridge")  # noqa: TRY301
    except BaseException:
        db.close()
        raise
    return db


def prepare(db: sqlite3.Connection) -> None:
    """Create the tables, or migrate those of 0.1.0, which until then can only be read."""
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":  # new, or restored from a backup
        db.execute("PRAGMA journal_mode=WAL")
    if _version(db) == SCHEMA:
        return
    columns = [row[1] for row in db.execute("PRAGMA table_info(commands)")]
    change = FROM_0_1_0 if columns and "fingerprint" not in columns else ""
    try:
        db.executescript(f"BEGIN EXCLUSIVE; {TABLES} {change} {INDEX} PRAGMA user_version={SCHEMA}; COMMIT;")
    finally:
        db.rollback()  # otherwise the next attempt would commit a half-done migration


def forget_earlier_run(db: sqlite3.Connection) -> None:
    """Empty a file that became usable only after the start: memory is newer than its content."""
    with db:
        for table in ("users", "events", "commands"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608  (our own three names)


def write(db: sqlite3.Connection, batch: Batch) -> None:
    """Write a batch within the caller's transaction."""
    users, commands = batch.users.items(), batch.commands.items()
    steps: tuple[tuple[str, list[tuple[object, ...]]], ...] = (
        (PUT_USER, [(topic, payload) for topic, payload in users if payload is not None]),
        ("DELETE FROM users WHERE topic = ?", [(topic,) for topic, payload in users if payload is None]),
        (PUT_EVENT, [(number, *row) for number, row in batch.events.items()]),
        ("DELETE FROM events WHERE number = ?", [(number,) for number in batch.done]),
        (PUT_COMMAND, [(request_id, *row) for request_id, row in commands if row is not None]),
        ("DELETE FROM commands WHERE id = ?", [(request_id,) for request_id, row in commands if row is None]),
    )
    for statement, rows in steps:
        if rows:
            db.executemany(statement, rows)


def trim(db: sqlite3.Connection, now_ms: int) -> None:
    """Delete commands that are too old or too many. Both statements use the index.

    The time is that of the newest command noted, not the newest row: rows from before the clock was set back
    are dated in the future, and must not make the rest look old.
    """
    db.execute("DELETE FROM commands WHERE unix_ms < ?", (now_ms - REMEMBERED_S * 1000,))
    db.execute(SURPLUS, (COMMANDS_AT_MOST,))


def read(db: sqlite3.Connection) -> Snapshot:
    """Read everything. Rows with wrong types are skipped, because callers rely on the types."""
    if _version(db) == 0:
        return Snapshot(whole=True)
    users = db.execute("SELECT topic, payload FROM users").fetchall()
    events = db.execute(UNSENT, (LARGEST_NUMBER,)).fetchall()
    newest = db.execute(NEWEST, (COMMANDS_AT_MOST,)).fetchall()
    return Snapshot(
        {topic: _json(payload) for topic, payload in users if isinstance(topic, str)},
        tuple(event for row in events if (event := _event(*row)) is not None),
        tuple(command for row in reversed(newest) if (command := _command(*row)) is not None),
        whole=True,
    )


def _event(number: int, topic: object, raw: object, unix_ms: object) -> KeptEvent | None:
    payload = _json(raw)
    if payload is None or not (isinstance(topic, str) and isinstance(unix_ms, int)):
        return None
    return KeptEvent(number, Message(topic, payload), unix_ms)


def _command(
    request_id: object, verb: object, unix_ms: int, reply: object, fingerprint: object = ""
) -> KeptCommand | None:
    """A row of the commands table; 0.1.0 had no fingerprint."""
    if not (isinstance(request_id, str) and isinstance(verb, str) and isinstance(fingerprint, str)):
        return None
    return KeptCommand(request_id, verb, unix_ms, None if reply is None else _json(reply), fingerprint)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _text(raw: bytes) -> str:
    """Decode a text; one that is not UTF-8 must not make all the others unreadable."""
    return raw.decode(errors="replace")


def _json(raw: object) -> Json | None:
    try:
        value = orjson.loads(raw) if isinstance(raw, bytes | str) else None
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
