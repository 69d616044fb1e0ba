"""Poll replies with something broken: read as batches of exact types, or refused with a ProtocolError.

What is read goes on through the mirror to the bytes for the broker. FUZZ=long tries ten thousand.
"""

import os
from dataclasses import is_dataclass
from functools import cache
from random import Random
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from bridge.core.journal import MemoryJournal
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.records import Batch, UserRecord
from bridge.core.rules import Scope
from bridge.core.status import About
from bridge.core.topics import Topics
from bridge.core.value import Value
from bridge.errors import ProtocolError
from bridge.link.mirror import Mirror
from bridge.mqtt.encode import encode
from bridge.pbx.monitors import Monitors
from bridge.pbx.wire import PollSlice, SoapFault, decode_poll
from tests.fuzz import mutations
from tests.fuzz.memory import GROWTH_AT_MOST, Memory

COUNT = 10_000 if os.environ.get("FUZZ") == "long" else 2_000
SEED = 7
SESSION = 50
FOLLOWS = {1: "g-anna", 2: "g-bert", 3: "g-night"}
LISTED = tuple(UserRecord(user.guid, user.cn, short_name=user.h323) for user in mutations.PEOPLE)


class Reader:
    """A mirror that gets batches, and a broker that takes all it has to say."""

    def __init__(self) -> None:
        self._ms = 0
        self._monitors = Monitors()
        for handle, guid in FOLLOWS.items():
            self._monitors.monitored(guid, handle)
        journal = MemoryJournal()
        self._outbox = Outbox(Limits(), journal.event_done)
        topics = Topics("innovaphone", "hq")
        self._mirror = Mirror(topics, Scope(), self._outbox, epoch="e", clock=self._now, journal=journal)
        self._outbox.refresh([], 0.0)

    def begin(self) -> None:
        """A new session: only those who are listed are known then."""
        self._mirror.began(About())
        self.take(Batch(users=LISTED, list_complete=True))
        for guid in FOLLOWS.values():
            self._mirror.settled(guid)

    def read(self, part: PollSlice) -> None:
        """Take a slice, with the users of its legs."""
        legs = self._monitors.resolved(part.legs)
        self.take(Batch(part.users, legs, part.list_complete, part.unreadable))

    def take(self, batch: Batch) -> None:
        """Fold a batch and send what it changes; each topic and payload must be one."""
        self._mirror.reported(batch)
        while (item := self._outbox.take(self._ms / 1000)) is not None:
            delivery_id, message = item
            encode(message)
            assert not set("+#\0") & set(message.topic)
            assert message.topic.count("/") in {2, 4}
            self._outbox.done(delivery_id)

    def _now(self) -> Instant:
        self._ms += 1
        return Instant(1_795_000_000_000 + self._ms, self._ms / 1000)


def test_broken_replies_are_read_or_refused() -> None:
    """Nothing else happens, whatever is broken; and neither reading nor refusing keeps anything."""
    reader, memory, read = Reader(), Memory(COUNT), 0
    for number in range(COUNT):
        if number % SESSION == 0:
            reader.begin()
            memory.after(number)
        body = mutations.mutated(Random(SEED + number))  # noqa: S311  (not a secret)
        try:
            read += _read(reader, body)
        except Exception as error:
            raise AssertionError(f"seed {SEED + number}: {body[:300]!r}") from error
    reader.begin()
    memory.after(COUNT)

    assert COUNT // 5 < read < COUNT * 4 // 5
    assert memory.growth < GROWTH_AT_MOST


def test_what_is_not_broken_is_read() -> None:
    """Else the mutations would prove nothing."""
    reader = Reader()
    reader.begin()

    assert all(_read(reader, mutations.reply(Random(number))) for number in range(200))  # noqa: S311


def _read(reader: Reader, body: bytes) -> bool:
    """Tell whether a reply was read to its end."""
    try:
        for part in decode_poll(body):
            assert exact(part, PollSlice)
            reader.read(part)
    except SoapFault:
        assert b"Fault" in body or b"\0F\0a\0u\0l\0t" in body
        return False
    except ProtocolError as refusal:
        assert len(refusal.reason) < 2 * 120  # noqa: PT017  (many bodies are read, and only some are refused)
        return False
    assert mutations.DTD not in body.replace(b"\0", b"")
    return True


def exact(value: object, wanted: Any) -> bool:
    """The value is of this type and no other, and so are its parts."""
    origin = get_origin(wanted)
    if origin is UnionType:
        return any(exact(value, option) for option in get_args(wanted))
    if origin is tuple:
        return type(value) is tuple and all(exact(part, get_args(wanted)[0]) for part in value)
    if wanted in {None, NoneType} or type(value) is not wanted:
        return value is None and wanted in {None, NoneType}
    key: Any = wanted  # for mypy, which has found by now that it is a type, and takes types for unhashable
    return all(exact(getattr(value, name), kind) for name, kind in hints(key))


@cache
def hints(kind: Any) -> tuple[tuple[str, Any], ...]:
    """The fields of a value that has some, and their types."""
    if not is_dataclass(kind) and not issubclass(kind, Value):
        return ()
    return tuple(get_type_hints(kind).items())
