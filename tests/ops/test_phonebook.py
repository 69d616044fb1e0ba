"""The file of the phonebook: read again when it has changed; while it cannot be, the known names stay."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
import structlog

from bridge.core.dial_plan import DialPlan
from bridge.ops import phonebook
from bridge.ops.phonebook import FILE_BYTES, PhonebookFile
from tests.bus import eventually

NUMBER = "0049711123456"


@pytest.fixture
def book(tmp_path: Path) -> PhonebookFile:
    """A file with one name, read."""
    path = tmp_path / "names.csv"
    path.write_text("0711 123456,ACME\n")
    made = PhonebookFile(path, DialPlan(49).written)
    assert made.read()
    return made


def names(book: PhonebookFile) -> dict[str, str]:
    """What is known now."""
    return dict(book.phonebook.names)


def replaced(book: PhonebookFile, content: bytes) -> None:
    """Another file in its place, as editors and exports leave one."""
    assert book.path is not None
    new = book.path.with_name("new")
    new.write_bytes(content)
    new.replace(book.path)


def test_only_another_file_is_read(book: PhonebookFile) -> None:
    """And only other names are a change."""
    assert names(book) == {NUMBER: "ACME"}
    assert not book.read()
    replaced(book, b"+49 711 123456,ACME\n")
    assert not book.read()
    replaced(book, b"+49 711 123456,ACME Ltd\n")
    assert book.read()
    assert names(book) == {NUMBER: "ACME Ltd"}


def test_without_a_file_there_are_no_names() -> None:
    """Nothing is asked of the disk."""
    book = PhonebookFile(None, str)

    assert not book.read()
    assert names(book) == {}


def gone(path: Path) -> None:
    """Delete it."""
    path.unlink()


def closed(path: Path) -> None:
    """Put a folder there."""
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    """Put a pipe there that nobody writes to."""
    path.unlink()
    os.mkfifo(path)


def huge(path: Path) -> None:
    """Let it grow beyond the limit."""
    with path.open("wb") as file:
        file.truncate(FILE_BYTES + 1)


@pytest.mark.parametrize("harm", [gone, closed, pipe, huge])
def test_a_file_that_cannot_be_read_takes_no_names(book: PhonebookFile, harm: object) -> None:
    """Said once; read again as soon as it can be."""
    assert callable(harm)
    assert book.path is not None
    with structlog.testing.capture_logs() as lines:
        harm(book.path)
        assert not book.read()
        assert not book.read()

    assert [line["event"] for line in lines] == ["phonebook cannot be read"]
    assert names(book) == {NUMBER: "ACME"}
    if book.path.is_dir():
        book.path.rmdir()
    replaced(book, b"0711 123456,Other\n")
    assert book.read()


def test_what_cannot_be_used_is_named_without_its_text(book: PhonebookFile) -> None:
    """By file and line."""
    with structlog.testing.capture_logs() as lines:
        replaced(book, b"0711 123456,ACME\nfax 0815,Secret Smith\n" + b"x\n" * 50)
        book.read()

    assert lines[0]["problem"] == "line 2: not a telephone number"
    assert (lines[-1]["event"], lines[-1]["not_named"]) == ("phonebook read", 31)
    assert not any("0815" in str(line) or "Smith" in str(line) or "ACME" in str(line) for line in lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no name and number in it"),
        (b"\x89PNG\xff\n" * 50, "not one of its 50 entries can be used; line 1: not UTF-8"),
        (b"BEGIN:VCARD\nEND:VCARD\n", "no name and number in it"),
    ],
)
def test_a_file_without_a_usable_name(book: PhonebookFile, content: bytes, reason: str) -> None:
    """One warning, not one for each line; `check` says the same."""
    replaced(book, content)
    with structlog.testing.capture_logs() as lines:
        assert book.read()

    assert [(line["event"], line["log_level"], line["reason"]) for line in lines] == [
        ("phonebook has no names", "warning", reason)
    ]
    assert book.path is not None
    assert phonebook.doubt(book.path, str) == reason


def test_a_file_that_may_come_later(book: PhonebookFile) -> None:
    """`check` says why there are no names yet, and nothing of one that has some."""
    assert book.path is not None
    assert phonebook.doubt(book.path, str) is None
    book.path.unlink()
    found = phonebook.doubt(book.path, str)
    assert found == "No such file or directory: there are no names until it can be read"


async def test_nobody_waits_for_a_disk_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, other looks at the file take no thread, and the names are told of when they come."""
    monkeypatch.setattr(phonebook, "READ_S", 0.05)
    answers = threading.Event()

    def written(number: str) -> str:
        answers.wait(30)
        return number

    path = tmp_path / "names.csv"
    path.write_text(f"{NUMBER},ACME\n")
    book, told = PhonebookFile(path, written), list[dict[str, str]]()
    try:
        with structlog.testing.capture_logs() as lines:
            await phonebook.read_soon(book, lambda: told.append(names(book)))
        assert [line["event"] for line in lines] == ["phonebook cannot be read"]
        assert not book.read()
        assert (names(book), told) == ({}, [])
    finally:
        answers.set()
    await eventually(lambda: told == [{NUMBER: "ACME"}], "the names are told of")


async def test_a_disk_that_answers_is_waited_for(tmp_path: Path) -> None:
    """Then the links start with the names."""
    path, told = tmp_path / "names.csv", list[str]()
    path.write_text(f"{NUMBER},ACME\n")
    book = PhonebookFile(path, str)
    await phonebook.read_soon(book, lambda: told.append("late"))

    assert (names(book), told) == ({NUMBER: "ACME"}, [])


async def test_the_file_is_watched(book: PhonebookFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told of a change finds the new names."""
    monkeypatch.setattr(phonebook, "LOOK_S", 0.02)
    found = list[dict[str, str]]()
    task = asyncio.create_task(phonebook.watch(lambda: book, lambda: found.append(names(book))))
    replaced(book, b"0711 123456,Other\n")
    await eventually(lambda: found == [{NUMBER: "Other"}], "the change is told")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
