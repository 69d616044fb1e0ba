"""What can go wrong, sorted by what happens next. No logic here.

BridgeError
├─ ConfigError             exit 78, every problem listed, nothing started
├─ LinkError               one end of a link broke; supervise() decides by `heals`
│  ├─ Unreachable          heals: back off (refused, reset, timed out, name not found)
│  ├─ SessionLost          heals: start again (session gone, connection cut, list must be read again)
│  ├─ ProtocolError        heals: the other side said what we cannot read; counted, session restarted
│  ├─ TakenOver            heals: another client has our MQTT client id: look who, and come back soon
│  ├─ StandsBack           another bridge serves our PBX: back off long
│  ├─ Rejected             a human must act (password, right, unknown user): longest delay
│  └─ Crashed              a bug ended a link: a new one takes its place after a growing delay
└─ CommandError            becomes exactly one reply, never a crash
"""

from typing import ClassVar


class BridgeError(Exception):
    """Base of everything this project raises on purpose."""


class ConfigError(BridgeError):
    """The configuration cannot be used; `problems` are ready to be shown, one line each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(BridgeError):
    """One end of a link broke. `reason` is a sentence for people without any secret in it.

    It may name addresses and accounts: it is for the log and the pages. `on_bus` follows the name of the PBX
    and is for everybody who may read the bus.
    `answered`: the other side took the request and answered it badly; another request may fare better.
    `longest_s`: the next attempt comes after this time at the latest.
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
    """Nobody answers there, or not in time."""

    on_bus = "does not answer"


class SessionLost(LinkError):  # noqa: N818
    """There was a session and it is gone."""

    on_bus = "ended the session"


class ProtocolError(LinkError):
    """The other side said something that we cannot or must not read."""

    answered = True
    on_bus = "gave an answer that cannot be used"


class TakenOver(LinkError):  # noqa: N818
    """Another client connected with our MQTT client id. It may be anybody: that must not keep us away."""

    longest_s = 5.0


class StandsBack(LinkError):  # noqa: N818
    """Another bridge serves our PBX, and has proved it where the bridge has a password for the broker."""

    heals = False


class Rejected(LinkError):  # noqa: N818
    """The other side refuses us until a human changes something."""

    heals = False
    on_bus = "rejects the bridge"


class Crashed(LinkError):  # noqa: N818
    """A bug in the bridge ended a link, and has been reported. Other links do not notice."""


class CommandError(BridgeError):
    """A command that cannot be carried out; `code` is one of the contract's codes.

    `message` is for the reply. `detail` is for the log, where there is more to say than the bus may know.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.detail = detail or message
