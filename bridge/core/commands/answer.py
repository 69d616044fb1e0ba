"""The one answer that a request gets, and where it goes. Pure.

Whatever decides about a request says no with a CommandError; it becomes an Answer here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from bridge.core import render
from bridge.core.message import Json, Message
from bridge.errors import CommandError

OK, DUPLICATE = "ok", "duplicate"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the one reply of a request goes, and what it names: the verb and the request's id.

    `user`: the user that the request is about, as it was written.
    """

    topic: str
    verb: str
    id: str | None = None
    correlation: bytes | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: `ok` with a result, or one of the contract's codes with a sentence.

    `message` is for the bus. `detail` is for the log and may name what the bus must not know.
    """

    address: Address
    code: str = OK
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
        head = {"schema": render.SCHEMA, "id": self.address.id, "verb": self.address.verb}
        if self.code == OK:
            body: Mapping[str, object] = {"status": "ok", **self.result}
        else:
            body = {
                "status": "error",
                "code": self.code,
                "message": self.message,
                "retryable": self.retryable,
            }
        return {**head, **body, "time": render.rfc3339(now_ms)}


def reply(address: Address, payload: Json) -> Message:
    """The message that carries a reply. QoS 1: it counts as sent when the broker has acknowledged it."""
    return Message(address.topic, payload, correlation=address.correlation)
