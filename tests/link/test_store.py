"""What survives a crash: the file of the durable journal, on real disks, full ones and read-only ones too."""

import asyncio
import json
import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bridge.build import Builder
from bridge.config.file import load
from bridge.config.schema import Config
from bridge.core.journal import KeptCommand, KeptEvent, Snapshot
from bridge.core.message import Message
from bridge.core.outbox import Limits, Outbox
from bridge.core.value import evolve
from bridge.link.store import Store
from bridge.net.executor import DaemonExecutor, Result
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from tests.bus import eventually


class Told:
    """Hears what a store says."""

    def __init__(self) -> None:
        self.said: list[str | None] = []

    def __call__(self, problem: str | None) -> None:
        """Hear."""
        self.said.append(problem)


def event(number: int, unix_ms: int = 1000) -> KeptEvent:
    """An event with some body."""
    return KeptEvent(number, Message("innovaphone/hq/user/anna/event", {"seq": number}), unix_ms)


def reopened(path: Path) -> Snapshot:
    """What a next run finds."""
    store = Store(path, Told())
    kept = store.kept()
    store.close()
    return kept


def test_it_keeps_what_was_committed(tmp_path: Path) -> None:
    """Events that are not done, the newest state of each user, commands with their replies."""
    path, told = tmp_path / "deep" / "hq.sqlite3", Told()
    store = Store(path, told)
    assert store.kept() == Snapshot(whole=True)
    for number in (1, 2, 3):
        store.event(event(number))
    store.event_done(2)
    store.user("anna", {"missed": 1})
    store.user("bert", {"missed": 0})
    store.command(KeptCommand("c-1", "call", 5, None))
    store.commit()
    store.user("anna", {"missed": 2})
    store.user("bert", None)
    store.event_done(1)
    store.command(KeptCommand("c-1", "call", 6, {"status": "ok"}))
    store.commit()
    store.event(event(4))
    store.close()

    assert told.said == [None]
    assert reopened(path) == Snapshot(
        {"anna": {"missed": 2}},
        (event(3), event(4)),
        (KeptCommand("c-1", "call", 6, {"status": "ok"}),),
        whole=True,
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_said_behind_the_end_is_not_kept(tmp_path: Path) -> None:
    """A timer of a link that has ended must not touch the file of its successor."""
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    store.event(event(1))
    store.close()
    successor = Store(path, Told())
    store.event(event(2))
    store.commit()
    successor.close()
    store.commit()
    assert reopened(path).events == (event(1),)


def test_a_crash_keeps_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    """The process dies between two commits."""
    path = tmp_path / "hq.sqlite3"
    child = os.fork()
    if child == 0:
        store = Store(path, lambda _: None)
        store.event(event(1))
        store.commit()
        store.event(event(2))
        os._exit(0)
    os.waitpid(child, 0)
    assert reopened(path).events == (event(1),)


def test_old_commands_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes after they came, by the clock as it is now: it may have been set back by a day."""
    monkeypatch.setattr("bridge.link.store.TRIM_S", 0.0)
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    store.command(KeptCommand("old", "call", 0, None))
    store.commit()
    store.command(KeptCommand("future", "call", 90_000_000, None))
    store.commit()
    store.command(KeptCommand("new", "call", 600_001, None))
    store.close()
    assert [command.id for command in reopened(path).commands] == ["new", "future"]


FILE_OF_0_1_0 = """
CREATE TABLE users (topic TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    number INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, unix_ms INTEGER NOT NULL);
CREATE TABLE commands (
    id TEXT PRIMARY KEY, verb TEXT NOT NULL, unix_ms INTEGER NOT NULL, reply BLOB) WITHOUT ROWID;
INSERT INTO users VALUES ('anna', '{"missed":1}');
INSERT INTO events VALUES (1, 'innovaphone/hq/user/anna/event', '{"seq":1}', 1000);
INSERT INTO commands VALUES ('c-1', 'call', 5, '{"status":"ok"}'), ('c-2', 'ping', 6, NULL);
PRAGMA user_version=1;
"""


def test_a_file_of_0_1_0_is_taken_over(tmp_path: Path) -> None:
    """With all that is in it; nothing says which requests its commands were. It is changed once."""
    path = tmp_path / "hq.sqlite3"
    with sqlite3.connect(path) as db:
        db.executescript(FILE_OF_0_1_0)
    db.close()
    commands = KeptCommand("c-1", "call", 5, {"status": "ok"}), KeptCommand("c-2", "ping", 6, None)
    for _ in range(2):
        assert reopened(path) == Snapshot({"anna": {"missed": 1}}, (event(1),), commands, whole=True)
    store = Store(path, Told())
    store.command(KeptCommand("c-3", "call", 7, None, "mark"))
    store.close()
    assert reopened(path).commands == (*commands, KeptCommand("c-3", "call", 7, None, "mark"))
    assert not path.with_suffix(".damaged").exists()


def test_the_file_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut down to what a ledger remembers, the newest; and no more than that is read at the start."""
    monkeypatch.setattr("bridge.link.state_tables.COMMANDS_AT_MOST", 3)
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    for number in range(10):
        store.command(KeptCommand(f"c-{number}", "call", number, None))
        store.commit()
    store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM commands").fetchone()[0] > 3, "once a second only"
    db.close()
    assert [command.id for command in reopened(path).commands] == ["c-7", "c-8", "c-9"]
    store = Store(path, Told())
    store.command(KeptCommand("c-10", "call", 10, None))
    store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM commands").fetchone()[0] == 3
        plan = str(db.execute("EXPLAIN QUERY PLAN DELETE FROM commands WHERE unix_ms < 5").fetchall())
    db.close()
    assert "SEARCH commands USING" in plan


def test_a_refusal_that_may_be_retried_is_not_kept(tmp_path: Path) -> None:
    """Nor is the note that was made before."""
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    store.command(KeptCommand("c-1", "call", 5, None))
    store.commit()
    store.command(KeptCommand("c-1", "call", 6, {"status": "error", "retryable": True}))
    store.close()
    assert reopened(path).commands == ()


class Stage:
    """A thread that a test holds: jobs wait until they are let go, one by one."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Future[Exception | None], Callable[[], Exception | None]]] = []

    def run(self, job: Callable[[], Exception | None]) -> Future[Exception | None]:
        """Let a job wait."""
        future: Future[Exception | None] = Future()
        self.jobs.append((future, job))
        return future

    def work(self, error: Exception | None = None) -> None:
        """Do the oldest job, or fail to."""
        future, job = self.jobs.pop(0)
        if error is None:
            future.set_result(job())
        else:
            future.set_exception(error)


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[tuple[Store, Stage, Told]]:
    """A store whose file is written when a test lets it; a test may leave it open."""
    stage, told = Stage(), Told()
    store = Store(tmp_path / "hq.sqlite3", told)
    store.serve(stage.run)
    yield store, stage, told
    if store._db is not None:
        store._db.close()


async def ended(task: "asyncio.Task[None]") -> None:
    """Wait for what must end now."""
    async with asyncio.timeout(5):
        await task


async def test_what_is_said_is_kept_when_its_job_has_run(staged: tuple[Store, Stage, Told]) -> None:
    """Who waits for it waits until then: for what was said before only, not for what is said meanwhile."""
    store, stage, _ = staged
    await store.kept_now()
    store.event(event(1))
    store.commit()
    store.command(KeptCommand("c-1", "call", 5, None))
    waits = asyncio.create_task(store.kept_now())
    await asyncio.sleep(0)
    stage.work()
    await eventually(lambda: stage.jobs, "the second job waits")
    assert not waits.done()
    store.command(KeptCommand("c-2", "call", 5, None))
    store.commit()
    stage.work()
    await ended(waits)
    await eventually(lambda: stage.jobs, "the third job waits")
    stage.work()
    store.close()
    await eventually(lambda: stage.jobs, "the last job waits")
    stage.work()
    await store.closed()
    assert [command.id for command in reopened(store.path).commands] == ["c-1", "c-2"]


async def test_events_are_held_until_they_are_kept(
    staged: tuple[Store, Stage, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for ever: a disk that hangs, or has failed, holds nothing back."""
    store, stage, told = staged
    outbox = Outbox(Limits(), store.event_done, held=lambda: store.behind, signal=asyncio.Event())
    store.on_kept(outbox.recheck)
    outbox.refresh([], 0.0)

    def say(number: int) -> None:
        message = event(number).message
        store.event(KeptEvent(outbox.put_event(message, 0.0), message, 0))
        store.commit()

    say(1)
    assert outbox.take(0.0) is None
    stage.work()
    async with asyncio.timeout(5):
        await outbox.changed()
    assert outbox.take(0.0) is not None

    say(2)
    monkeypatch.setattr("bridge.link.store.HELD_S", 0.0)
    assert outbox.take(0.0) is not None, "the disk hangs"
    monkeypatch.undo()
    stage.work(OSError("no thread can be made"))
    await eventually(lambda: len(told.said) == 2, "the failure is told")
    say(3)
    assert outbox.take(0.0) is not None, "the disk has failed"
    await store.kept_now()


async def test_a_disk_that_hangs_is_told(
    staged: tuple[Store, Stage, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is full: whoever waits goes on, and when it answers all is written."""
    store, stage, told = staged
    store.event(event(1))
    store.commit()
    waits = asyncio.create_task(store.kept_now())
    await asyncio.sleep(0)
    store.commit()
    assert told.said == [None]
    monkeypatch.setattr("bridge.link.store.HANGS_S", 0.0)
    for _ in range(3):
        store.commit()
    assert [said and said[-52:] for said in told.said] == [
        None,
        "the disk does not answer; events wait in memory only",
    ]
    await ended(waits)
    assert not store.behind
    store.event(event(2))
    stage.work()
    await eventually(lambda: told.said[-1] is None and stage.jobs, "it is healed, and the rest is written")
    stage.work()
    store.close()
    await eventually(lambda: stage.jobs, "the last job waits")
    stage.work()
    await store.closed()
    assert reopened(store.path).events == (event(1), event(2))


async def test_what_failed_is_written_later(
    staged: tuple[Store, Stage, Told], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together with what was said meanwhile, and without what was done meanwhile."""
    monkeypatch.setattr("bridge.link.store.AGAIN_S", 0.0)
    store, stage, told = staged
    for number in (1, 2):
        store.event(event(number))
    store.user("anna", {"missed": 1})
    store.user("bert", {"missed": 1})
    store.command(KeptCommand("c-1", "call", 5, None))
    store.commit()
    store.event_done(1)
    store.user("anna", {"missed": 2})
    store.command(KeptCommand("c-1", "call", 6, {"status": "ok"}))
    waits = asyncio.create_task(store.kept_now())
    await asyncio.sleep(0)
    stage.work(OSError("full"))
    await ended(waits)
    store.commit()
    stage.work()
    await eventually(lambda: told.said[-1] is None and len(told.said) == 3, "it is healed")
    store.close()
    stage.work()
    await store.closed()
    assert reopened(store.path) == Snapshot(
        {"anna": {"missed": 2}, "bert": {"missed": 1}},
        (event(2),),
        (KeptCommand("c-1", "call", 6, {"status": "ok"}),),
        whole=True,
    )


async def test_the_end_writes_what_is_left(staged: tuple[Store, Stage, Told]) -> None:
    """Also what was said while a job ran. Who waits for a disk that hangs does not wait for long."""
    store, stage, _ = staged
    store.event(event(1))
    store.commit()
    store.event(event(2))
    store.close()
    store.close()
    stage.work()
    await eventually(lambda: stage.jobs, "the last job waits")
    async with asyncio.timeout(5):
        await store.closed()
    stage.work()
    await store.closed()
    assert reopened(store.path).events == (event(1), event(2))


class NoThread(Executor):
    """The system gives no thread."""

    def submit(self, fn: Callable[..., Result], /, *_args: object, **_more: object) -> Future[Result]:
        """Fail, as DaemonExecutor does then."""
        failed: Future[Result] = Future()
        failed.set_exception(OSError("can't start new thread"))
        return failed


async def test_without_a_thread_it_is_opened_all_the_same(tmp_path: Path) -> None:
    """What waited in memory goes into it; then it cannot be written, which is told and passes."""
    section = {"name": "hq", "url": "http://127.0.0.1:9", "username": "u", "password": "p"}
    config = Config.model_validate({"pbxs": [{**section, "session_user": "API"}], "state_dir": str(tmp_path)})
    registry = CollectorRegistry()
    observer = Observer("hq", Metrics(registry), Bugs(lambda _: None))
    memory = Snapshot({}, (event(7),), (KeptCommand("c-1", "call", 5, None, "mark"),))
    store = await Builder(config, disk=NoThread()).store(config.pbxs[0], observer, memory)

    def up() -> float | None:
        return registry.get_sample_value("innovaphone_mqtt_state_store_up", {"pbx": "hq"})

    assert store is not None
    kept = store.kept()
    assert (kept.events, kept.commands) == ((evolve(event(7), number=1),), memory.commands)
    await eventually(lambda: up() == 1, "it is open")
    store.event(event(2))
    store.commit()
    await eventually(lambda: up() == 0, "it cannot be written")
    store.close()
    await store.closed()


async def test_the_thread_writes(tmp_path: Path) -> None:
    """The real one: no job runs in the thread of the event loop, and they run in order."""
    disk, threads = DaemonExecutor(threads=1, names=0), list[str]()
    store = Store(tmp_path / "hq.sqlite3", Told())
    store.serve(disk.submit)
    for number in range(20):
        store.command(KeptCommand(f"c-{number}", "call", number, None))
        await store.kept_now()
        await asyncio.wrap_future(disk.submit(lambda: threads.append(threading.current_thread().name)))
    store.close()
    await store.closed()
    assert set(threads) == {"blocking-call"}
    assert len(reopened(tmp_path / "hq.sqlite3").commands) == 20
    failed = disk.submit((tmp_path / "nothing").stat)
    with pytest.raises(FileNotFoundError):
        await asyncio.wrap_future(failed)


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """And one of another version; the bridge starts with an empty one."""
    path = tmp_path / "hq.sqlite3"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 20)
    assert reopened(path) == Snapshot(whole=True)
    assert path.with_suffix(".damaged").exists()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    assert reopened(path) == Snapshot(whole=True)


DAMAGED_ROWS = [
    "events VALUES (2, 't', x'FF', 0), (3, 't', '[1]', 0), (4, 't', 5, 0), (5, 't', '{}', 'abc')",
    "events VALUES (6, x'FF', '{}', 0), (9223372036854775807, 't', '{}', 0)",
    "users VALUES (x'FF', '{}')",
    "commands VALUES ('x', 'call', 'abc', NULL, 'f'), ('y', 'call', 1e30, NULL, 'f')",
    "commands VALUES ('z', x'FF', 7, NULL, 'f'), (x'FF', 'call', 7, NULL, 'f'), ('a', 'call', 7, 7, x'FF')",
]


@pytest.mark.parametrize("rows", DAMAGED_ROWS)
def test_rows_that_cannot_be_read_are_left_out(tmp_path: Path, rows: str) -> None:
    """Somebody wrote into it, or a bit was turned: the start knows the rest, and what follows is kept."""
    path = tmp_path / "hq.sqlite3"
    command = KeptCommand("c-1", "call", 5, None, "f")
    store = Store(path, Told())
    store.event(event(1))
    store.command(command)
    store.close()
    with sqlite3.connect(path) as db:
        db.execute(f"INSERT INTO {rows}")
        db.execute("INSERT INTO users VALUES ('anna', x'FF'), ('bert', 5)")
        db.execute("INSERT INTO users VALUES (CAST(x'FF' AS TEXT), '{}')")
    db.close()
    wanted = Snapshot({"anna": None, "bert": None, "\ufffd": {}}, (event(1),), (command,), whole=True)
    assert reopened(path) == wanted
    store = Store(path, Told())
    store.event(event(max(each.number for each in store.kept().events) + 1))
    store.close()
    assert reopened(path).events == (event(1), event(2))


@pytest.mark.parametrize("page", range(2, 9))
def test_a_file_that_is_damaged_inside_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """One page of it is lost, found out at the start or later: soon things are kept again, in a new file."""
    monkeypatch.setattr("bridge.link.store.AGAIN_S", 0.0)
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    for number in range(200):
        store.event(event(number))
        store.command(KeptCommand(f"c-{number}", "call", number, {"status": "ok"}))
        store.user(f"u-{number}", {"missed": number})
    store.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(content)

    told = Told()
    store = Store(path, told)
    store.on_lost(lambda: store.user("u-7", {"missed": 7}))
    store.kept()
    for number in (1000, 1001):
        store.event(event(number))
        store.command(KeptCommand(f"c-{number}", "call", number, None))
        store.commit()
    store.close()
    assert [said is None or "malformed" in said for said in told.said] == [True] * 3
    assert path.with_suffix(".damaged").exists()
    kept = reopened(path)
    assert {1000, 1001} <= {each.number for each in kept.events}
    assert {"c-1000", "c-1001"} <= {each.id for each in kept.commands}
    assert kept.users == {"u-7": {"missed": 7}}, "the link says again what was lost"


def test_a_second_bridge_does_not_get_the_file(tmp_path: Path) -> None:
    """It says so and works in memory."""
    path, told = tmp_path / "hq.sqlite3", Told()
    first = Store(path, Told())
    first.event(event(1))
    first.commit()
    second = Store(path, told)
    assert second.kept() == Snapshot(whole=True)
    second.event(event(2))
    second.commit()
    second.close()
    first.close()
    assert [said is not None and "locked" in said for said in told.said] == [True]
    assert reopened(path).events == (event(1),)


@contextmanager
def full_disk(most_bytes: int) -> Iterator[None]:
    """No file of this process can grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_once_and_healed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is raised; the difference between memory and disk is written when there is room again."""
    monkeypatch.setattr("bridge.link.store.AGAIN_S", 0.0)
    path, told = tmp_path / "hq.sqlite3", Told()
    store = Store(path, told)
    store.event(event(1))
    store.commit()
    big = KeptEvent(2, Message("t", {"text": "x" * 200_000}), 0)
    with full_disk(100_000):
        store.event(big)
        store.commit()
        store.event_done(1)
        store.commit()
    assert [said is None for said in told.said] == [True, False]
    store.commit()
    assert [said is None for said in told.said] == [True, False, True]
    store.close()
    assert reopened(path).events == (big,)


@pytest.mark.parametrize("version", [1, 2])
def test_a_start_on_a_full_disk_knows_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    """Also where the file of 0.1.0 cannot be changed yet: an id of before must not run twice."""
    monkeypatch.setattr("bridge.link.store.AGAIN_S", 0.0)
    path, told = tmp_path / "hq.sqlite3", Told()
    with sqlite3.connect(path) as db:
        db.executescript(FILE_OF_0_1_0)
    db.close()
    path.chmod(0o600)
    if version > 1:
        reopened(path)
    with full_disk(1):
        store = Store(path, told)
        kept = store.kept()
        store.event(event(2))
        store.commit()
    assert ([each.id for each in kept.commands], kept.events) == (["c-1", "c-2"], (event(1),))
    assert [said is None for said in told.said] == ([False] if version == 1 else [True, False])
    store.commit()
    store.close()
    assert told.said[-1] is None
    assert [each.id for each in reopened(path).commands] == ["c-1", "c-2"]
    assert reopened(path).events == (event(1), event(2))


def test_tables_of_0_1_0_without_their_number(tmp_path: Path) -> None:
    """It was killed at its first start, when it had made them."""
    path, told = tmp_path / "hq.sqlite3", Told()
    with sqlite3.connect(path) as db:
        db.executescript(f"{FILE_OF_0_1_0} PRAGMA user_version=0;")
    db.close()
    path.chmod(0o600)
    store = Store(path, told)
    store.command(KeptCommand("c-3", "call", 7, None, "mark"))
    store.close()
    assert told.said == [None]
    assert "c-3" in [each.id for each in reopened(path).commands]


def test_a_copy_from_a_backup_is_used_as_ours(tmp_path: Path) -> None:
    """Tools that copy a database leave the write-ahead log out; it is switched on again."""
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    store.event(event(1))
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    db.close()
    assert reopened(path).events == (event(1),)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the folder should be: told once; kept from the moment when that is mended."""
    monkeypatch.setattr("bridge.link.store.AGAIN_S", 0.0)
    folder, told = tmp_path / "state", Told()
    folder.write_text("")
    store = Store(folder / "hq.sqlite3", told)
    assert store.kept() == Snapshot(whole=True)
    store.event(event(1))
    store.commit()
    assert [said is None for said in told.said] == [False]
    folder.unlink()
    store.commit()
    store.close()
    assert [said is None for said in told.said] == [False, True]
    assert reopened(folder / "hq.sqlite3").events == (event(1),)


def test_a_flood_of_commands_beside_a_broken_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the disk is bounded: the newest commands, each once."""
    monkeypatch.setattr("bridge.link.store.COMMANDS_AT_MOST", 3)
    monkeypatch.setattr("bridge.link.state_tables.COMMANDS_AT_MOST", 3)
    monkeypatch.setattr("bridge.link.store.AGAIN_S", 0.0)
    folder = tmp_path / "state"
    folder.write_text("")
    store = Store(folder / "hq.sqlite3", Told())
    for number in (1, 2, 3, 4, 5, 3):
        store.command(KeptCommand(f"c-{number}", "call", number, None))
        store.commit()
    folder.unlink()
    store.commit()
    store.close()
    assert {command.id for command in reopened(folder / "hq.sqlite3").commands} == {"c-3", "c-4", "c-5"}


def test_systemd_gives_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of $STATE_DIRECTORY, where the configuration names none."""
    file, here = tmp_path / "b.yaml", tmp_path / "own"
    section = {"name": "hq", "url": "http://127.0.0.1:9", "username": "u", "password": "p"}
    settings = {"pbxs": [{**section, "session_user": "API"}]}
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}:/elsewhere")
    file.write_text(json.dumps(settings))
    assert load(file).state_dir == tmp_path
    file.write_text(json.dumps({**settings, "state_dir": str(here)}))
    assert load(file).state_dir == here
