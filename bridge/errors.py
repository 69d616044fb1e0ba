"""The errors of the bridge, classified by how the caller reacts. No logic here.

BridgeError
├─ ConfigError             exit 78, every problem listed, nothing started
├─ LinkError               a session of a link failed; supervise() decides by `heals`
│  ├─ Unreachable          heals: back off (connection refused or reset, timeout, name not found)
│  ├─ SessionLost          heals: open a new session (session gone, connection lost, list must be read again)
│  ├─ ProtocolError        heals: unreadable answer; counted, then a new session
│  ├─ TakenOver            heals: another client took our MQTT client id; probe it, and come back soon
│  ├─ StandsBack           another bridge serves this PBX: wait until it ends
│  ├─ Rejected             a human must act (password, right, unknown user): longest delay
│  └─ Crashed              a bug ended a link; it is replaced after a growing delay
└─ CommandError            becomes exactly one reply, never a crash
"""

from typing import ClassVar, Literal


class BridgeError(Exception):
    """Base class of all errors that the bridge raises deliberately."""


class ConfigError(BridgeError):
    """The configuration is invalid. `problems`: one line each, ready to print."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(BridgeError):
    """A session of a link failed. `reason`: a sentence for the log and the pages, without secrets.

    It may name addresses and accounts. `on_bus` is its short form for every client of the broker; it follows
    the name of the PBX. `answered`: the request reached the other side and got a bad answer, so the session
    may still work for other requests. `longest_s`: upper limit of the delay before the next attempt.
    """

    heals: ClassVar[bool] = True
    longest_s: ClassVar[float | None] = None
    on_bus: ClassVar[str] = "cannot be used"
    answered = False

    def __init__(self, reason: str, *, answered: bool | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        if answered is not None:
            self.answered = answered


class Unreachable(LinkError):  # noqa: N818  (a state of the world, as every name in this tree)
    """The other side does not answer, or not in time."""

    on_bus = "does not answer"


class SessionLost(LinkError):  # noqa: N818
    """An open session has ended."""

    on_bus = "ended the session"


class ProtocolError(LinkError):
    """The other side sent an answer that cannot or must not be read."""

    answered = True
    on_bus = "gave an answer that cannot be used"


class TakenOver(LinkError):  # noqa: N818
    """Another client connected with our MQTT client id. Any client can do so: it must not keep us away."""

    longest_s = 5.0


class StandsBack(LinkError):  # noqa: N818
    """Another bridge serves this PBX. It has proved so, if the bridge has a password for the broker.

    The next attempt begins with waiting for its end.
    """

    heals = False
    longest_s = 5.0


class Rejected(LinkError):  # noqa: N818
    """The other side rejects the bridge until a human changes something."""

    heals = False
    on_bus = "rejects the bridge"


class Crashed(LinkError):  # noqa: N818
    """A bug ended a link and has been reported. Other links are not affected."""


ErrorCode = Literal[
    "retained",
    "malformed",
    "unknown_verb",
    "invalid",
    "expired",
    "not_permitted",
    "number_not_allowed",
    "rate_limited",
    "unknown_user",
    "unknown_call",
    "pbx_offline",
    "refused",
    "pbx_error",
    "timeout",
]
"""The codes of refusals, in the order of the checks (docs/topics.md#replies)."""


class CommandError(BridgeError):
    """A command that cannot be executed.

    `message` goes into the reply. `detail` goes into the log and may contain more than clients may see.
    """

    def __init__(self, code: ErrorCode, message: str, *, retryable: bool = False, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.detail = detail or message
