"""The state file of one PBX: its tables, what one transaction writes, what a start reads. Blocks; no threads.

A start on a full disk must read what is there: nothing is written to open a file that is as it must be.
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
NEWEST = "SELECT * FROM commands WHERE typeof(unix_ms) = 'integer' ORDER BY unix_ms DESC LIMIT ?"
UNSENT = "SELECT number, topic, payload, unix_ms FROM events WHERE number < ? ORDER BY number"
LARGEST_NUMBER = 2**53
"""Of an event; new ones are counted on from there."""
SURPLUS = "DELETE FROM commands WHERE id IN (SELECT id FROM commands ORDER BY unix_ms DESC LIMIT -1 OFFSET ?)"


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


def open_file(path: Path) -> sqlite3.Connection:
    """An open file, for `prepare`; one that is no file of ours, or damaged, is set aside."""
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
    """It is the file: trying again does not help, as it does with a lock or a full disk."""
    return type(error) is sqlite3.DatabaseError  # not those of its kinds, which say something else


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
    """Make our tables, or change those of 0.1.0; before that they can be read, but not written."""
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":  # a copy that a backup made, too
        db.execute("PRAGMA journal_mode=WAL")
    if _version(db) == SCHEMA:
        return
    columns = [row[1] for row in db.execute("PRAGMA table_info(commands)")]
    change = FROM_0_1_0 if columns and "fingerprint" not in columns else ""
    try:
        db.executescript(f"BEGIN EXCLUSIVE; {TABLES} {change} {INDEX} PRAGMA user_version={SCHEMA}; COMMIT;")
    finally:
        db.rollback()  # what failed half-way would be committed by the next attempt


def forget_earlier_run(db: sqlite3.Connection) -> None:
    """The file became usable late: what memory holds is newer than all that is in it."""
    with db:
        for table in ("users", "events", "commands"):
            db.execute(f"DELETE FROM {table}")  # noqa: S608  (our own three names)


def write(db: sqlite3.Connection, batch: Batch) -> None:
    """Write a batch, in a transaction of the caller."""
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


def trim(db: sqlite3.Connection, now_ms: int) -> None:
    """Forget the commands that a ledger would have forgotten. Both steps use the index.

    What is dated in the future was noted before the clock was set back: it is no reason to forget the rest.
    """
    db.execute("DELETE FROM commands WHERE unix_ms < ?", (now_ms - REMEMBERED_S * 1000,))
    db.execute(SURPLUS, (COMMANDS_AT_MOST,))


def read(db: sqlite3.Connection) -> Snapshot:
    """All that is in it. Rows that are damaged are left out: whoever gets them relies on their types."""
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
    """Without the last column it is of 0.1.0."""
    if not (isinstance(request_id, str) and isinstance(verb, str) and isinstance(fingerprint, str)):
        return None
    return KeptCommand(request_id, verb, unix_ms, None if reply is None else _json(reply), fingerprint)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _text(raw: bytes) -> str:
    """One name that is no UTF-8 must not cost all the others."""
    return raw.decode(errors="replace")


def _json(raw: object) -> Json | None:
    try:
        value = orjson.loads(raw) if isinstance(raw, bytes | str) else None
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
