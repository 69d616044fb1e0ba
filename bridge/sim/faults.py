"""What goes wrong on purpose: a list of faults, each for some of the next requests. No network here."""

from dataclasses import dataclass, replace

KINDS = frozenset(
    {
        *("http", "html", "cut", "reset", "slow", "drip", "redirect", "endless", "big", "gzip", "dtd"),
        *("truncated", "fault", "unauthorised", "hang", "empty"),
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble for the next `times` requests of an operation (of any, when empty).

    Kinds: http (value: status), html, cut (half of the reply, then close), reset, slow (value: seconds),
    drip (one byte every value seconds), redirect, endless, big (value: bytes), gzip, dtd, truncated,
    fault (text), unauthorised (a new nonce), hang, empty.
    """

    kind: str
    operation: str = ""
    times: int = 1
    value: float = 0.0
    text: str = ""


class Faults:
    """The faults that wait for their request, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a fault wait. Raises ValueError for a kind that there is not."""
        if fault.kind not in KINDS:
            raise ValueError(f"no fault of the kind '{fault.kind}'; there are {', '.join(sorted(KINDS))}")
        self._waiting.append(fault)

    @property
    def pending(self) -> int:
        """How many still wait."""
        return len(self._waiting)

    def clear(self) -> None:
        """No more trouble."""
        self._waiting.clear()

    def take(self, operation: str) -> Fault | None:
        """The fault for a request, if there is one; it counts down."""
        for index, fault in enumerate(self._waiting):
            if fault.operation in {"", operation}:
                if fault.times > 1:
                    self._waiting[index] = replace(fault, times=fault.times - 1)
                else:
                    del self._waiting[index]
                return fault
        return None
