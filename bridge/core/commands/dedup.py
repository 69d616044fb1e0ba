"""Remembers requests by their id, with their reply, to recognise repetitions. Plain data, no clock.

An id belongs to one request for ten minutes. Refused requests are remembered apart from those that were let
through: refusals cost their sender nothing, so they must never push out a command that was executed.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from hashlib import blake2b

from bridge.core.commands.answer import Address
from bridge.core.commands.request import Request
from bridge.core.journal import COMMANDS_AT_MOST
from bridge.core.message import Json
from bridge.core.topics import TopicId

REMEMBERED_S = 600.0
REMEMBERED_AT_MOST = COMMANDS_AT_MOST
REFUSED_AT_MOST = 1000
WAITING_PER_ID = 8


@dataclass(slots=True)
class Entry:
    """One id: when it came, its request, the reply once there is one, and the duplicates that wait for it."""

    at_s: float
    fingerprint: str
    reply: Json | None = None
    waiting: list[Address] = field(default_factory=list)

    def wait(self, address: Address) -> bool:
        """Let a duplicate wait for the reply; False if too many wait already."""
        if len(self.waiting) >= WAITING_PER_ID:
            return False
        self.waiting.append(address)
        return True


class SeenCommands:
    """Ids of the last ten minutes: up to 10,000 accepted ones, and the newest 1,000 refused ones."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._refused: OrderedDict[str, Entry] = OrderedDict()

    def is_full(self, now_s: float) -> bool:
        """Whether one more accepted id would displace one that is still needed."""
        _forget(self._entries, now_s)
        return len(self._entries) >= REMEMBERED_AT_MOST

    def find(self, request_id: str, now_s: float) -> Entry | None:
        """The entry of an id, if it was seen."""
        for entries in (self._entries, self._refused):
            _forget(entries, now_s)
        return self._entries.get(request_id) or self._refused.get(request_id)

    def open(self, request_id: str, fingerprint: str, now_s: float) -> None:
        """Remember an accepted request; its reply follows."""
        _add(self._entries, request_id, Entry(now_s, fingerprint), REMEMBERED_AT_MOST)

    def put_back(self, request_id: str, fingerprint: str, at_s: float, reply: Json) -> None:
        """Remember an id of an earlier run, with its reply."""
        _add(self._entries, request_id, Entry(at_s, fingerprint, reply), REMEMBERED_AT_MOST)

    def close(self, request_id: str, reply: Json) -> tuple[Address, ...]:
        """Store the reply of an executed request, or forget its id if the reply asks for a retry.

        Return the addresses of the duplicates that wait for it.
        """
        entry = self._entries.get(request_id)
        if entry is None:
            return ()
        waiting, entry.waiting, entry.reply = tuple(entry.waiting), [], reply
        if reply.get("retryable"):
            del self._entries[request_id]
        return waiting

    def close_refused(self, request_id: str, reply: Json) -> tuple[Address, ...]:
        """Like `close`, for a request that was accepted and then refused before the PBX was asked."""
        waiting = self.close(request_id, reply)
        entry = self._entries.pop(request_id, None)
        if entry is not None:
            self.refuse(request_id, entry.fingerprint, reply, entry.at_s)
        return waiting

    def refuse(self, request_id: str, fingerprint: str, reply: Json, now_s: float) -> None:
        """Remember a request that was refused."""
        _add(self._refused, request_id, Entry(now_s, fingerprint, reply), REFUSED_AT_MOST)


def fingerprint(request: Request, key: bytes = b"") -> str:
    """A hash that a repetition of this request shares, and no other request.

    Verb, fields (the user is one of them) and the topic of the reply count. The time at which it expires and
    the correlation data may change from one attempt to the next. A user named by the topic of the request may
    be another one than the same word means in its fields. `key`: without it, whoever reads the journal cannot
    find the number by trying all.
    """
    by_topic = isinstance(request.fields.get("user"), TopicId)
    parts = [request.address.verb, request.address.topic, by_topic, sorted(request.fields.items())]
    return blake2b(json.dumps(parts).encode(), digest_size=16, key=key).hexdigest()


def _add(entries: OrderedDict[str, Entry], request_id: str, entry: Entry, most: int) -> None:
    entries[request_id] = entry
    if len(entries) > most:
        entries.popitem(last=False)


def _forget(entries: OrderedDict[str, Entry], now_s: float) -> None:
    while entries and now_s - next(iter(entries.values())).at_s >= REMEMBERED_S:
        entries.popitem(last=False)
