"""Requests that the broker has not answered yet, by packet identifier. Sends nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, SessionLost
from bridge.mqtt import errors as reasons
from bridge.mqtt.framing import TOO_LARGE

Answered = Callable[[LinkError | None], None]
"""Hears once what became of a request: None if the broker accepted it."""


@dataclass(slots=True)
class Request:
    """A publish or a subscription: its topics, who waits for the answer, its size in bytes."""

    topics: tuple[str, ...]
    answered: Answered
    size: int = 0


class Pending:
    """Unanswered requests of one kind (`what`: publish or subscription)."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._requests: dict[int, Request] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def __contains__(self, mid: int) -> bool:
        return mid in self._requests

    def add(self, mid: int, request: Request) -> None:
        """The request goes out under this packet identifier."""
        self._requests[mid] = request

    def acknowledged(self, mid: int, code: int) -> int:
        """A PUBACK has come. Returns the size of what the broker accepted, or 0."""
        if code >= reasons.REFUSED_FROM:
            # paho knows the word for "too large" in a DISCONNECT only.
            packet = PacketTypes.DISCONNECT if code == TOO_LARGE else PacketTypes.PUBACK
            return self.answer(mid, [ReasonCode(packet, identifier=code)])
        return self._accept(mid)

    def answer(self, mid: int, codes: Sequence[ReasonCode]) -> int:
        """The broker has answered. Returns the size of what it accepted, or 0."""
        request = self._requests.get(mid)
        refusal = None if request is None else reasons.of_answers(codes, self._what, request.topics)
        if refusal is None:
            return self._accept(mid)
        self._requests.pop(mid).answered(refusal)
        return 0

    def _accept(self, mid: int) -> int:
        request = self._requests.pop(mid, None)
        if request is None:
            return 0
        request.answered(None)
        return request.size

    def fail(self, cause: LinkError) -> None:
        """The connection has ended: no answer will come."""
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.answered(SessionLost(cause.reason))
