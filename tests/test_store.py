"""What survives a crash: the file of the durable journal, on real disks, full ones and read-only ones too."""

import json
import os
import resource
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.config_file import load
from bridge.core.journal import Kept, KeptCommand, KeptEvent
from bridge.core.message import Message
from bridge.store import Store


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


def reopened(path: Path) -> Kept:
    """What a next run finds."""
    store = Store(path, Told())
    kept = store.kept()
    store.close()
    return kept


def test_it_keeps_what_was_committed(tmp_path: Path) -> None:
    """Events that are not done, the newest state of each user, commands with their replies."""
    path, told = tmp_path / "deep" / "hq.sqlite3", Told()
    store = Store(path, told)
    assert store.kept() == Kept()
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
    assert reopened(path) == Kept(
        {"anna": {"missed": 2}}, (event(3), event(4)), (KeptCommand("c-1", "call", 6, {"status": "ok"}),)
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


def test_old_commands_are_forgotten(tmp_path: Path) -> None:
    """Ten minutes after they came."""
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    store.command(KeptCommand("old", "call", 0, None))
    store.commit()
    store.command(KeptCommand("new", "call", 600_001, None))
    store.close()
    assert [command.id for command in reopened(path).commands] == ["new"]


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    """And one of another version; the bridge starts with an empty one."""
    path = tmp_path / "hq.sqlite3"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 20)
    assert reopened(path) == Kept()
    assert path.with_suffix(".damaged").exists()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    assert reopened(path) == Kept()


def test_rows_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    """Somebody wrote into it."""
    path = tmp_path / "hq.sqlite3"
    store = Store(path, Told())
    store.event(event(1))
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO events VALUES (2, 't', x'FF', 0), (3, 't', '[1]', 0)")
        db.execute("INSERT INTO users VALUES ('anna', x'FF')")
    db.close()
    kept = reopened(path)
    assert (kept.events, kept.users) == ((event(1),), {"anna": None})


def test_a_second_bridge_does_not_get_the_file(tmp_path: Path) -> None:
    """It says so and works in memory."""
    path, told = tmp_path / "hq.sqlite3", Told()
    first = Store(path, Told())
    first.event(event(1))
    first.commit()
    second = Store(path, told)
    assert second.kept() == Kept()
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
    monkeypatch.setattr("bridge.store.AGAIN_S", 0.0)
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


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the folder should be: told once; kept from the moment when that is mended."""
    monkeypatch.setattr("bridge.store.AGAIN_S", 0.0)
    folder, told = tmp_path / "state", Told()
    folder.write_text("")
    store = Store(folder / "hq.sqlite3", told)
    assert store.kept() == Kept()
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
    monkeypatch.setattr("bridge.store.COMMANDS_AT_MOST", 3)
    monkeypatch.setattr("bridge.store.AGAIN_S", 0.0)
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
