"""Whose the state directory must be: what others could have written there is not used."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.core.journal import KeptEvent
from bridge.core.message import Message
from bridge.errors import ConfigError
from bridge.link import state_files
from bridge.link.state_files import DAMAGED_KEPT_S, check_folder, forget_damaged
from bridge.link.store import Store
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.running import Program, configuration, pbx_section

SOMEBODY, OPEN = 64_321, 0o777
EVENT = KeptEvent(1, Message("innovaphone/hq/user/anna/event", {"seq": 1}), 1000)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """A state directory of ours."""
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


@contextmanager
def of_somebody_else(path: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its owner is neither we nor root. Who is not root cannot give it away, and becomes another."""
    if os.geteuid() == 0:
        os.lchown(path, SOMEBODY, -1)
        yield
    else:
        with patch.context() as patched:
            patched.setattr(os, "geteuid", lambda: SOMEBODY)
            yield


def used(path: Path) -> tuple[bool, str]:
    """Whether a store keeps something in this file, and what it says."""
    said: list[str | None] = []
    store = Store(path, said.append)
    store.event(EVENT)
    store.commit()
    store.close()
    return said == [None], said[0] or ""


def refused(folder: Path) -> str:
    """Why the bridge does not start with this directory; it must not use a file in it either."""
    with pytest.raises(ConfigError) as caught:
        check_folder(folder)
    (problem,) = caught.value.problems
    good, said = used(folder / "hq.sqlite3")
    assert not good
    assert problem.removeprefix("state_dir: ") in said
    assert not (folder / "hq.sqlite3").exists()
    return problem


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755])
def test_a_directory_of_our_own(folder: Path, mode: int) -> None:
    """Others may look, the files are of mode 0600 all the same."""
    folder.chmod(mode)
    check_folder(folder)
    assert used(folder / "hq.sqlite3") == (True, "")
    assert stat.S_IMODE((folder / "hq.sqlite3").stat().st_mode) == 0o600


def test_what_is_not_there_yet_is_made(tmp_path: Path) -> None:
    """For us only."""
    folder = tmp_path / "a" / "b"
    check_folder(folder)
    check_folder(None)
    assert used(folder / "hq.sqlite3") == (True, "")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_directory_that_everybody_may_write(folder: Path, mode: int) -> None:
    """With the sticky bit too: there others can be first."""
    folder.chmod(mode)
    assert refused(folder).startswith(f"state_dir: {folder} can be written by others (mode {mode:04o}")


def test_a_directory_of_somebody_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can put there what they like, whatever its mode is."""
    with of_somebody_else(folder, monkeypatch):
        assert f"{folder} belongs to" in refused(folder)


def test_a_directory_that_can_be_replaced(folder: Path) -> None:
    """The one above is open to all; with the sticky bit nobody else can rename what is in it."""
    folder.parent.chmod(0o777)
    assert f"can be replaced: {folder.parent}" in refused(folder)
    folder.parent.chmod(0o1777)
    check_folder(folder)


def test_a_group_of_our_own_may_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a volume of Kubernetes with fsGroup, open to the group of the pod, files of an earlier run too."""
    assert used(folder / "hq.sqlite3")[0]
    monkeypatch.setattr(os, "getgroups", lambda: [folder.stat().st_gid])
    monkeypatch.setattr("grp.getgrgid", lambda _: _unknown())
    (folder / "hq.sqlite3").chmod(0o660)
    folder.chmod(0o2775)
    check_folder(folder)
    assert used(folder / "hq.sqlite3") == (True, "")


def _unknown() -> None:
    raise KeyError


def test_another_group_may_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that we are not in, or that somebody else is in too."""
    folder.chmod(0o770)
    with monkeypatch.context() as patched:
        patched.setattr(os, "getegid", lambda: SOMEBODY)
        patched.setattr(os, "getgroups", list)
        assert "can be written by others" in refused(folder)

    class Group:
        """A group with a colleague in it."""

        gr_mem = ("colleague",)

    monkeypatch.setattr("grp.getgrgid", lambda _: Group())
    assert "can be written by others" in refused(folder)


def test_a_volume_of_roots_is_decided_by_who_mounts_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emptyDir of Kubernetes is open to all, and nobody else is in the pod; /tmp is not meant."""
    folder.chmod(0o2777)
    refused(folder)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
    if os.geteuid() != 0:
        monkeypatch.setattr(state_files, "_is_volume", lambda path, _: path == folder)
    check_folder(folder)
    assert used(folder / "hq.sqlite3") == (True, "")
    (folder / "hq.sqlite3").chmod(0o777)  # as CIFS shows all files, whatever mode they were made with
    assert used(folder / "hq.sqlite3") == (True, "")


def test_a_volume_that_gives_all_files_to_one_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS with all_squash, an access point of EFS, CIFS with uid: what we write belongs to its owner."""
    assert used(folder / "hq.sqlite3")[0]
    folder.chmod(0o777)
    (folder / "hq.sqlite3").chmod(0o777)
    with of_somebody_else(folder, monkeypatch), of_somebody_else(folder / "hq.sqlite3", monkeypatch):
        assert "belongs to" in used(folder / "hq.sqlite3")[1], "a folder of somebody else is no volume"
        monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == folder)
        if os.geteuid() == 0:
            assert "belongs to" in used(folder / "hq.sqlite3")[1], "it gives us what we write"
            monkeypatch.setattr(state_files, "_owner_of_ours", lambda _: SOMEBODY)
        check_folder(folder)
        assert used(folder / "hq.sqlite3") == (True, "")
        folder.chmod(0o500)
        if os.geteuid() != 0:
            assert "belongs to" in used(folder / "hq.sqlite3")[1], "nothing can be written there"
        folder.chmod(0o700)


@pytest.mark.parametrize("name", ["hq.sqlite3", "hq.sqlite3-wal", "hq.sqlite3-journal"])
def test_files_of_somebody_else(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The file, and what SQLite would read beside it: a link, one that others own or may write, a pipe."""
    file, path = folder / name, folder / "hq.sqlite3"
    file.symlink_to(folder / "elsewhere")
    assert "is a symbolic link" in used(path)[1]
    assert not (folder / "elsewhere").exists()
    file.unlink()
    os.mkfifo(file)
    assert "is no plain file" in used(path)[1]
    file.unlink()
    file.touch(mode=0o600)
    file.chmod(0o602)
    assert "can be written by others" in used(path)[1]
    file.chmod(0o600)
    with of_somebody_else(file, monkeypatch):
        assert "belongs to" in used(path)[1]


def test_a_damaged_file_is_deleted_after_a_week(folder: Path) -> None:
    """It holds calls. What SQLite had beside it does not get into the new file."""
    path, aside = folder / "hq.sqlite3", folder / "hq.damaged"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 20)
    (folder / "hq.sqlite3-wal").write_bytes(b"an old log")
    os.utime(path, (0, 0))
    assert used(path) == (True, "")
    assert aside.exists(), "however old it was, it is kept for a week"
    forget_damaged(folder)
    assert aside.exists()
    week_ago = time.time() - DAMAGED_KEPT_S - 60
    os.utime(aside, (week_ago, week_ago))
    assert used(path) == (True, "")
    assert not aside.exists()
    forget_damaged(folder / "nowhere")


def test_what_was_deleted_is_not_in_the_file_any_more(folder: Path) -> None:
    """Whatever the default of this SQLite is."""
    path, number = folder / "hq.sqlite3", "089 555 0199"
    store = Store(path, lambda _: None)
    store.event(KeptEvent(2, Message("innovaphone/hq/user/anna/event", {"number": number}), 1000))
    store.commit()
    store.event_done(2)
    store.commit()
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    assert number.encode() not in path.read_bytes()


@pytest.mark.slow
@pytest.mark.broker
async def test_the_program_does_not_start_there(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, folder: Path, tmp_path: Path
) -> None:
    """It says where, what and what to do, and ends with the code of a configuration."""
    settings = configuration(broker.port, pbx_section(pbx), state_dir=str(folder))
    os.chmod(folder, OPEN)  # noqa: PTH101  (no wait is worth a thread here)
    program = Program(tmp_path, settings)
    process = await program.start()
    assert await process.wait() == 78
    assert f"state_dir: {folder} can be written by others" in program.log
    assert bus.tree == {}
    os.chmod(folder, 0o700)  # noqa: PTH101  (same)
    await program.start()
    await eventually(lambda: bus.now("innovaphone/hq/state") == "online", "it starts in its own directory")
