"""Requests that the broker has not answered yet, by packet identifier. Sends nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, SessionLost
from bridge.mqtt import errors as reasons


@dataclass(frozen=True, slots=True)
class Request:
    """A publish or a subscription: its topics, the future of its answer, its size in bytes."""

    topics: tuple[str, ...]
    answer: asyncio.Future[None]
    size: int = 0


class Pending:
    """Unanswered requests of one kind (`what`: publish or subscription)."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._requests: dict[int, Request] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, mid: int, request: Request) -> None:
        """The request was given to paho, which chose the packet identifier."""
        self._requests[mid] = request

    def answer(self, mid: int, codes: Sequence[ReasonCode]) -> int:
        """The broker has answered. Returns the size of what it accepted, or 0."""
        request = self._requests.pop(mid, None)
        if request is None:
            return 0
        refusal = reasons.of_answers(codes, self._what, request.topics)
        if not request.answer.done():
            if refusal is None:
                request.answer.set_result(None)
            else:
                request.answer.set_exception(refusal)
        return request.size if refusal is None else 0

    def fail(self, cause: LinkError) -> None:
        """The connection has ended: no answer will come."""
        for request in self._requests.values():
            if not request.answer.done():
                request.answer.set_exception(SessionLost(cause.reason))
                request.answer.exception()  # nobody need look at it; asyncio would report it as a bug
        self._requests.clear()
