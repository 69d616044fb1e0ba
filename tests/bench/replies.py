"""The replies of the bench's PBX, encoded before anything is measured: lists of users, calls. Pure."""

import uuid
from collections.abc import Iterator, Sequence

from bridge.sim.model import LegNews, No, SimUser, UserNews, party
from bridge.sim.xml import Decoration, Writer, reply

ENCODED, FOR_ZEEP = Decoration(), Decoration(named_types=True, array_type=False, item_names=True)
"""As a PBX answers, and the form that zeep reads without help (docs/wire.md#zeep)."""
_STEPS = ((129, "r-setup"), (132, "x-alert"), (133, "x-conn"), (133, "del"))
"""An incoming call: each of its records is one event."""
CALLERS = 20
"""Users whose calls come and go, one event each in turn."""
_FIRST_LEG, _FIRST_LASTING_LEG = 1_000_000, 500_000


def user(number: int) -> SimUser:
    """A user with what a usual one has."""
    groups = (("all", False), (f"team {number % 50}", True))
    mail = (f"user{number:05}@example.com",)
    return SimUser(
        f"User {number:05}",
        f"user{number:05}",
        f"{10_000 + number}",
        f"U. {number:05}",
        groups=groups,
        emails=mail,
    )


def handle(number: int) -> int:
    """The handle that the PBX gives to a user."""
    return number + 1


class Replies:
    """Encodes replies in one form."""

    def __init__(self, form: Decoration = ENCODED) -> None:
        self._writer = Writer(form)

    def poll(self, users: Sequence[UserNews] = (), legs: Sequence[LegNews] = ()) -> bytes:
        """A reply to Poll."""
        return reply("Poll", [self._writer.any_info(users, legs)])

    def result(self, operation: str, *values: tuple[str, object]) -> bytes:
        """The reply to another operation."""
        return reply(operation, [self._writer.scalar(name, value) for name, value in values])

    def first_list(self, count: int, each: int) -> Iterator[bytes]:
        """The list of so many users, and the record that ends it."""
        for start in range(0, count, each):
            yield self.poll([UserNews(user(number), 1) for number in range(start, min(start + each, count))])
        yield self.poll([UserNews(user(0), end_of_list=True)])

    def events(self, first: int, count: int, each: int) -> Iterator[bytes]:
        """Replies with so many events, each of another user than the one before."""
        for start in range(first, first + count, each):
            yield self.poll(
                legs=[_event(number) for number in range(start, min(start + each, first + count))]
            )

    def lasting(self, count: int, each: int = 200) -> Iterator[bytes]:
        """Replies with calls that have begun and do not end, each of another user, none of a caller."""
        for start in range(0, count, each):
            yield self.poll(
                legs=[
                    _leg(CALLERS + number, _FIRST_LASTING_LEG + number, 133, "x-conn")
                    for number in range(start, min(start + each, count))
                ]
            )

    def mixed(self, count: int) -> bytes:
        """A reply of users and legs, half of each."""
        half = range(count // 2)
        return self.poll([UserNews(user(number)) for number in half], [_event(number) for number in half])


def _event(number: int) -> LegNews:
    caller, turn = number % CALLERS, number // CALLERS
    state, message = _STEPS[turn % len(_STEPS)]
    return _leg(caller, _FIRST_LEG + turn // len(_STEPS) * CALLERS + caller, state, message)


def _leg(owner: int, leg: int, state: int, message: str) -> LegNews:
    ended = message == "del"
    far = No("peer", dn=f"Caller {leg % 1000}", e164=f"0171{leg}")
    conference = uuid.uuid5(uuid.NAMESPACE_OID, str(leg)).hex
    ends = (far, party("this", user(owner)))
    return LegNews(
        handle(owner), leg, state, ends, message, conference, 16 if ended else None, active=not ended
    )
