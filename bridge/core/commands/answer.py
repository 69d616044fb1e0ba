"""The one answer that a request gets, and where it goes. Pure.

Whatever decides about a request says no with a CommandError; it becomes an Answer here and nowhere else.
"""

from dataclasses import dataclass, field
from typing import Literal, Self

from bridge.core import payloads, render
from bridge.core.message import Json, Message
from bridge.errors import CommandError, ErrorCode

OK: Literal["ok"] = "ok"
DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the one reply of a request goes, and what it names: the verb and the request's id.

    For the log: `user` and `call` that the request is about and `dialled`, what it wants to reach, as it was
    written; `named`, all users and calls that it names; and its `sender`, if the broker tells.
    """

    topic: str
    verb: str
    id: str | None = None
    correlation: bytes | None = None
    user: str | None = None
    call: str | None = None
    dialled: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    sender: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: `ok` with a result, or one of the contract's codes with a sentence.

    `message` is for the bus. `detail` is for the log and may name what the bus must not know.
    """

    address: Address
    code: ErrorCode | Literal["ok"] = OK
    message: str = ""
    retryable: bool = False
    detail: str = ""
    result: Json = field(default_factory=dict)

    @classmethod
    def refusing(cls, address: Address, error: CommandError) -> Self:
        """The answer to a request that is not carried out."""
        return cls(address, error.code, error.message, error.retryable, error.detail)

    def payload(self, now_ms: int) -> Json:
        """The payload of the reply."""
        return self._accepted(now_ms) if self.code == OK else self._refused(self.code, now_ms)

    def _accepted(self, now_ms: int) -> Json:
        common: payloads.Accepted = {
            "schema": payloads.SCHEMA,
            "id": self.address.id,
            "verb": self.address.verb,
            "status": "ok",
            "time": render.rfc3339(now_ms),
        }
        return {**common, **self.result}

    def _refused(self, code: ErrorCode, now_ms: int) -> payloads.Refused:
        return {
            "schema": payloads.SCHEMA,
            "id": self.address.id,
            "verb": self.address.verb,
            "status": "error",
            "code": code,
            "message": self.message,
            "retryable": self.retryable,
            "time": render.rfc3339(now_ms),
        }


def reply(address: Address, payload: Json) -> Message:
    """The message that carries a reply. QoS 1: it counts as sent when the broker has acknowledged it."""
    return Message(address.topic, payload, correlation=address.correlation)
