"""Where Home Assistant is kept: an installation that fails costs nothing, and a root that is used stays."""

import fcntl
from pathlib import Path

import pytest

from tests.homeassistant.place import CACHE, kept


async def make(root: Path, cache: Path) -> None:
    """One that succeeds."""
    _download(cache)
    _install(root)


async def fail(_root: Path, cache: Path) -> None:
    """One whose registry is too slow; a part of it has come."""
    _download(cache)
    raise TimeoutError


def _download(cache: Path) -> None:
    (cache / "a wheel").touch()


def _install(root: Path) -> None:
    root.mkdir()


async def test_an_older_root_goes_once_the_new_one_is_there(tmp_path: Path) -> None:
    """Not before. What was downloaded stays."""
    async with kept(tmp_path, "old", make):
        pass
    with pytest.raises(TimeoutError):
        async with kept(tmp_path, "new", fail):
            pass
    assert (tmp_path / "old").is_dir()
    assert (tmp_path / CACHE / "a wheel").exists()
    async with kept(tmp_path, "new", make) as root:
        assert root.is_dir()
    assert not (tmp_path / "old").exists()
    assert (tmp_path / CACHE / "a wheel").exists()


async def test_a_root_that_is_used_is_not_removed(tmp_path: Path) -> None:
    """Others may use it as well, but make no other."""
    async with kept(tmp_path, "root", make), kept(tmp_path, "root", fail):
        with (tmp_path / "lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
