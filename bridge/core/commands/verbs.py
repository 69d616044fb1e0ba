"""The verbs people may send: one entry each, with its fields and what it plans to do. Pure.

A plan is a value (an Action); whoever has a PBX session carries it out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.core.commands.dialling import Denial, DialRules, may_dial, target_of
from bridge.core.commands.fields import Dials, FieldKind, Flag, Number, Text
from bridge.core.commands.naming import find_user
from bridge.core.model import Call, PbxState, User
from bridge.core.numbers import dialable, normal
from bridge.errors import CommandError

Fields = Mapping[str, object]
_ACTIVITY = re.compile(r"[a-z][a-z-]{0,39}|")


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Let a user call somebody: a number, or an object by short or long name."""

    user: User
    number: str = ""
    short_name: str = ""
    name: str = ""
    from_number: str = ""
    anonymous: bool = False
    facility: int = 0


@dataclass(frozen=True, slots=True)
class HangUp:
    """End one leg; `cause` is a Q.850 code, None for the configured one."""

    call: Call
    cause: int | None


@dataclass(frozen=True, slots=True)
class SetPresence:
    """Set what a user lets others know, as one contact of it."""

    user: User
    activity: str
    note: str
    status: str | None
    contact: str
    im: bool


@dataclass(frozen=True, slots=True)
class Resync:
    """Open a new PBX session and read everything again."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask the PBX whether the session lives."""


Action = PlaceCall | HangUp | SetPresence | Resync | Ping


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb. `bare`: the field that a bare payload fills, "" when a bare payload says nothing more.

    `group`: the set of `commands.allow` that it belongs to. `basic` is what a configuration without that key
    allows: it never grows, or an upgrade would give rights that nobody has given.
    """

    group: str
    plan: Callable[[PbxState, str, Fields], Action]
    fields: Mapping[str, FieldKind] = field(default_factory=dict)
    bare: str | None = None
    check: Callable[[Fields], str | None] = lambda _: None


def plan(verb: str, state: PbxState, pbx: str, fields: Fields, rules: DialRules) -> Action:
    """What to do for a request, if the rules let it be dialled. Raises CommandError."""
    action = VERBS[verb].plan(state, pbx, fields)
    denial = denied(verb, state, fields, rules)
    if denial is not None:
        raise CommandError(denial.code, denial.message)
    return action


def denied(verb: str, state: PbxState, fields: Fields, rules: DialRules) -> Denial | None:
    """Why a request may not be dialled, if so; it is never asked for a verb that makes nothing ring."""
    wanted = target_of(VERBS[verb].fields, fields, state)
    return None if wanted is None else may_dial(wanted, rules)


def _plan_call(state: PbxState, pbx: str, fields: Fields) -> Action:
    to_user = _text(fields, "to_user")
    callee = find_user(state, pbx, to_user).record if to_user else None
    return PlaceCall(
        user=find_user(state, pbx, _text(fields, "user")),
        number=dialable(_text(fields, "number")) or "",
        short_name=callee.short_name if callee else "",
        name=_text(fields, "name") or (callee.name if callee and not callee.short_name else ""),
        from_number=normal(_text(fields, "from_number")),
        anonymous=fields.get("anonymous") is True,
        facility=_whole(fields, "facility") or 0,
    )


def _check_call(fields: Fields) -> str | None:
    if "user" not in fields:
        return "'user' is missing"
    targets = [name for name in ("number", "to_user", "name") if fields.get(name)]
    if len(targets) != 1:
        return "give exactly one of 'number', 'to_user', 'name'"
    for name in ("number", "from_number"):
        if fields.get(name) and dialable(str(fields[name])) is None:
            return f"'{name}' must be digits, * and #, with a + in front at most"
    return None


def _plan_clear(state: PbxState, pbx: str, fields: Fields) -> Action:
    return HangUp(_find_call(state, pbx, fields), _whole(fields, "cause"))


def _find_call(state: PbxState, pbx: str, fields: Fields) -> Call:
    """The call that is named or, without a name, the only one of the user."""
    user = find_user(state, pbx, _text(fields, "user")) if "user" in fields else None
    if "call" in fields:
        call = state.call(str(fields["call"]))
        if call is None or (user is not None and call.user != user.guid):
            raise CommandError("unknown_call", f"no running call '{fields['call']}' on {pbx}")
        return call
    calls = state.calls.get(user.guid, ()) if user else ()
    if len(calls) != 1:
        many = f"has {len(calls)} calls, name one with 'call'" if calls else "has no call"
        raise CommandError("unknown_call", f"'{fields.get('user')}' on {pbx} {many}")
    return calls[0]


def _plan_presence(state: PbxState, pbx: str, fields: Fields) -> Action:
    activity = str(fields.get("activity", ""))
    status = fields.get("status")
    return SetPresence(
        user=find_user(state, pbx, _text(fields, "user")),
        activity="" if activity == "available" else activity,
        note=str(fields.get("note", "")),
        status=None if status is None else str(status),
        contact=str(fields.get("contact", "tel:")),
        im=fields.get("im") is True,
    )


def _check_presence(fields: Fields) -> str | None:
    if "user" not in fields:
        return "'user' is missing"
    if not _ACTIVITY.fullmatch(str(fields.get("activity", ""))):
        return "'activity' must be a word like away, busy or dnd, or empty for available"
    return None


def _text(fields: Fields, name: str) -> str:
    """A text as it came: the user of a topic is a TopicId."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _whole(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) else None


VERBS: Mapping[str, Verb] = {
    "call": Verb(
        group="basic",
        plan=_plan_call,
        fields={
            "user": Text(dials=Dials.CALLER),
            "number": Text(64, dials=Dials.NUMBER),
            "to_user": Text(dials=Dials.USER),
            "name": Text(dials=Dials.NAME),
            "from_number": Text(64, dials=Dials.FROM_NUMBER),
            "anonymous": Flag(),
            "facility": Number(0, 999, dials=Dials.FACILITY),
        },
        bare="number",
        check=_check_call,
    ),
    "clear": Verb(
        group="basic",
        plan=_plan_clear,
        fields={"user": Text(), "call": Text(), "cause": Number(1, 127)},
        bare="",
        check=lambda fields: None if {"call", "user"} & fields.keys() else "give 'call' or 'user'",
    ),
    "presence": Verb(
        group="basic",
        plan=_plan_presence,
        fields={
            "user": Text(),
            "activity": Text(40),
            "note": Text(256),
            "status": Text(words=("open", "closed", "")),
            "contact": Text(),
            "im": Flag(),
        },
        bare="activity",
        check=_check_presence,
    ),
    "resync": Verb("basic", plan=lambda _state, _pbx, _fields: Resync()),
    "ping": Verb("basic", plan=lambda _state, _pbx, _fields: Ping()),
}
SETS: Mapping[str, tuple[str, ...]] = {
    group: tuple(verb for verb, its in VERBS.items() if its.group == group)
    for group in dict.fromkeys(its.group for its in VERBS.values())
}
"""The sets of verbs that a configuration may allow by one word."""
