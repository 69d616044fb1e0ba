"""Decides whether a request may be dialled, the same way for every verb that decides who talks to whom. Pure.

The fields of a verb say which part they have in a call (`Dials`). `target_of` collects them, with the users
that they lead to, and with what a running call adds. `may_dial` judges the result: numbers, users and names
by the same rules.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bridge.core import numbers
from bridge.core.commands.fields import Dials, FieldKind
from bridge.core.commands.naming import known_user
from bridge.core.model import Call, Direction, PbxState
from bridge.core.records import UserRecord
from bridge.errors import CommandError, ErrorCode

EMERGENCY = frozenset({"000", "110", "112", "911", "999"})
OUTSIDE_LINE = ("0",)
MOST_OUTSIDE_LINES = 2
"""A PBX behind another PBX dials for an outside line twice."""
LONGEST = 20
"""Two digits for outside lines, 00, and the 15 digits that a number can have in the world; one to spare."""
PHONES = frozenset({"ep"})
REACHED = frozenset({Dials.NUMBER, Dials.MORE_DIGITS, Dials.KEYS, Dials.USER, Dials.NAME})
ANY = "*"


@dataclass(frozen=True, slots=True)
class DialRules:
    """What the configuration lets the bus dial. Numbers and patterns in the form of `numbers.pattern`.

    facilities: codes besides 0. types: of callers and callees. outside_line: what is dialled before an
    outside number. longest: digits of a number.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    from_numbers: tuple[str, ...] = ()
    facilities: frozenset[int] = frozenset()
    types: frozenset[str] = PHONES
    emergency: frozenset[str] = EMERGENCY
    outside_line: tuple[str, ...] = OUTSIDE_LINE
    longest: int = LONGEST


@dataclass(frozen=True, slots=True)
class Target:
    """What a request would dial. callees: the users that its numbers, names and users lead to.

    callers: users who only need a type that is listed: those who call, and those who get tones.
    strangers: long names that no published user has. unknown: users that do not exist.
    """

    callers: tuple[UserRecord, ...] = ()
    numbers: tuple[str, ...] = ()
    callees: tuple[UserRecord, ...] = ()
    strangers: tuple[str, ...] = ()
    from_numbers: tuple[str, ...] = ()
    facilities: tuple[int, ...] = ()
    unknown: tuple[str, ...] = ()


def target_of(kinds: Mapping[str, FieldKind], fields: Mapping[str, object], state: PbxState) -> Target | None:
    """What a request wants dialled; None where no field of its verb has a part in a call."""
    parts = [(kind.dials, fields.get(name)) for name, kind in kinds.items() if kind.dials]
    if all(part is Dials.CALLER for part, _ in parts):
        return None

    def given(wanted: Dials) -> tuple[str, ...]:
        return tuple(value for part, value in parts if part is wanted and isinstance(value, str) and value)

    callers = [(name, known_user(state, name)) for name in given(Dials.CALLER)]
    users = [(name, known_user(state, name)) for name in given(Dials.USER)]
    named = [(name, tuple(_called(state, "name", name))) for name in given(Dials.NAME)]
    call = _call_meant(fields, state)
    keys, tones, shown = given(Dials.KEYS), given(Dials.TONES), given(Dials.SHOWN_NUMBER)
    more = (*given(Dials.MORE_DIGITS), *keys, *(tones if call is not None and call.dialling else ()))
    reached = _joined(fields, state) if Dials.JOINED in {part for part, _ in parts} else ()
    # Only the digits of `rest` are sent: "(0)" behind +49 is one of them.
    whole = (_dialled_so_far(call) + (numbers.dialable(rest) or rest) for rest in more)
    far = (each.remote.number for each in reached if each.remote.number)
    wanted = (*given(Dials.NUMBER), *keys, *whole, *far)
    digits = [numbers.dialable(number) or "" for number in wanted]
    return Target(
        callers=(
            *(user.record for _, user in callers if user),
            *(_far_users(state, call) if more or tones else ()),
        ),
        numbers=wanted,
        callees=(
            *(user.record for _, user in users if user),
            *(record for _, records in named for record in records),
            *(record for number in digits for record in _called(state, "number", number)),
            *(record for each in reached for record in _far_users(state, each)),
        ),
        strangers=(
            *(name for name, records in named if not records),
            *(each.remote.name or "?" for each in reached if not (each.remote.number or each.remote.user)),
        ),
        from_numbers=(*given(Dials.FROM_NUMBER), *(each for each in shown if not _is_far_end(call, each))),
        facilities=tuple(value for part, value in parts if part is Dials.FACILITY and isinstance(value, int)),
        unknown=tuple(name for name, user in (*callers, *users) if user is None),
    )


def dialled(kinds: Mapping[str, FieldKind], fields: Mapping[str, object]) -> tuple[str, ...]:
    """What a request wants to reach, as it was written: numbers, users and names."""
    wanted = (fields.get(name) for name, kind in kinds.items() if kind.dials in REACHED)
    return tuple(value for value in wanted if isinstance(value, str) and value)


def _call_meant(fields: Mapping[str, object], state: PbxState) -> Call | None:
    """The call that is named, or the only one of the user who is; None: the plan will refuse the request."""
    calls = _calls_of(fields.get("user"), state)
    named = fields.get("call")
    return state.call(named) if isinstance(named, str) else calls[0] if len(calls) == 1 else None


def _joined(fields: Mapping[str, object], state: PbxState) -> tuple[Call, ...]:
    """The calls that a request joins, as far as somebody dialled them: the others get to talk to these ends.

    Calls that came in are not judged: nobody dialled the number of their caller, and any could be claimed.
    """
    named = [state.call(str(fields[name])) for name in ("call", "to_call") if name in fields]
    found = [call for call in named if call is not None]
    if len(named) == len(("call", "to_call")):
        calls = tuple(found)
    else:
        calls = state.calls.get(found[0].user, ()) if found else _calls_of(fields.get("user"), state)
    return tuple(call for call in calls if call.direction is Direction.OUTBOUND)


def _calls_of(name: object, state: PbxState) -> tuple[Call, ...]:
    user = known_user(state, name) if isinstance(name, str) else None
    return state.calls.get(user.guid, ()) if user else ()


def _dialled_so_far(call: Call | None) -> str:
    """The digits to which more are added, so that a number is judged as a whole."""
    return call.remote.number if call is not None and call.direction is Direction.OUTBOUND else ""


def _far_users(state: PbxState, call: Call | None) -> Iterator[UserRecord]:
    user = state.user_of(call.remote.user) if call is not None and call.remote.user else None
    return iter(() if user is None else (user.record,))


def _is_far_end(call: Call | None, number: str) -> bool:
    """Whether a number that is to be shown is that of the remote party: then it claims nothing false."""
    wanted = numbers.normal(number)
    return call is not None and bool(wanted) and wanted == numbers.normal(call.remote.number)


def _called(state: PbxState, kind: str, name: str) -> Iterator[UserRecord]:
    """The users who go by this number, or this long name: the PBX finds its objects by both."""
    return (state.users[guid].record for guid in state.names.get((kind, name), ()))


def may_dial(target: Target, rules: DialRules) -> CommandError | None:
    """Why this may not be dialled; None: it may. The code that comes first in the contract decides."""
    checks: tuple[tuple[ErrorCode, str | None], ...] = (
        ("not_permitted", _facility_problem(target, rules) or _type_problem(target, rules)),
        ("number_not_allowed", _number_problem(target, rules) or _from_problem(target, rules)),
        ("unknown_user", next((f"no user '{name}'" for name in target.unknown), None)),
    )
    return next((CommandError(code, problem) for code, problem in checks if problem is not None), None)


def _facility_problem(target: Target, rules: DialRules) -> str | None:
    """Some codes listen in on a running call or open a microphone: none but 0 goes unless it is listed."""
    wrong = [code for code in target.facilities if code and code not in rules.facilities]
    return f"facility {wrong[0]} is not listed in the bridge's commands.facilities" if wrong else None


def _type_problem(target: Target, rules: DialRules) -> str | None:
    """A trunk is an outside line: a call to it, or from it, goes past every rule about numbers."""
    if ANY in rules.types:
        return None
    for record in (*target.callers, *target.callees):
        if record.type not in rules.types:
            return f"'{record.name}' has the type '{record.type}', not listed in the bridge's commands.types"
    if target.strangers and not (rules.allow or rules.deny):
        return f"'{target.strangers[0]}' is not a published user, so its type is unknown (commands.types)"
    return None


def _number_problem(target: Target, rules: DialRules) -> str | None:
    for number in target.numbers:
        problem = _refusal(number, rules)
        if problem:
            return problem
    for callee in target.callees:
        problem = _callee_problem(callee, rules)
        if problem:
            return f"'{callee.name}': {problem}"
    if target.strangers and (rules.allow or rules.deny):
        return f"'{target.strangers[0]}' is not a published user, so its number is unknown (commands.numbers)"
    return None


def _callee_problem(callee: UserRecord, rules: DialRules) -> str | None:
    """A user is called by its name, and judged by its number."""
    if numbers.normal(callee.number):
        return _refusal(callee.number, rules)
    return "has no number, so the bridge's commands.numbers.allow cannot permit it" if rules.allow else None


def _from_problem(target: Target, rules: DialRules) -> str | None:
    """The callee sees a forged number as the caller's: none goes unless it is listed."""
    for number in target.from_numbers:
        short = len(numbers.normal(number)) <= rules.longest
        if not short or not numbers.fits(number, rules.from_numbers):
            return "this from_number is not listed in the bridge's commands.from_numbers"
    return None


def _refusal(number: str, rules: DialRules) -> str | None:
    wanted = numbers.normal(number)
    if not wanted:
        return "not a number that can be judged"
    if len(wanted) > rules.longest:
        return f"longer than {rules.longest} digits (the bridge's commands.numbers.longest)"
    if _is_emergency(wanted, rules) and wanted not in numbers.literal(rules.allow):
        return f"{wanted} reaches an emergency service: the bridge's commands.numbers.allow must list it"
    return numbers.refusal(number, rules.allow, rules.deny)


def _is_emergency(wanted: str, rules: DialRules) -> bool:
    """Also behind a feature code, with or without outside lines, and with a country code.

    Digits behind the emergency number are not looked at: 0112 may be one, 01123 may be an area code.
    """
    lines = "|".join(map(re.escape, rules.outside_line)) or "$^"
    services = "|".join(map(re.escape, rules.emergency)) or "$^"
    spelling = re.compile(f"(?:{lines}){{0,{MOST_OUTSIDE_LINES}}}(?:00[0-9]{{1,3}})?(?:{services})")
    return any(spelling.fullmatch(part) for part in re.split("[*#]", wanted))
