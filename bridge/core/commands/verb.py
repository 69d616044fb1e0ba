"""What makes a verb: its fields, its check and its plan. Knows no verb; each has a file in verbs/.

A plan turns a request into an Action, a value that a PBX session can perform. Nothing here performs it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from bridge.core.commands.fields import FieldKind
from bridge.core.commands.naming import find_user
from bridge.core.message import Json
from bridge.core.model import Call, PbxState
from bridge.core.rules import Scope
from bridge.errors import CommandError

Fields = Mapping[str, object]
EVERYBODY = Scope()
PAIR = 2


class Action:
    """What a request wants done at the PBX. Each subclass is a frozen value with a row in the backend."""

    __slots__ = ()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The running calls that it acts on. It needs the PBX to have confirmed them."""
        return ()


@dataclass(frozen=True, slots=True)
class CallAction(Action):
    """An action on a running call."""

    call: Call

    @property
    def calls(self) -> tuple[Call, ...]:
        """The call."""
        return (self.call,)

    @property
    def added(self) -> str:
        """The digits that it may add to the number that the call dials."""
        return ""


@dataclass(frozen=True, slots=True)
class PairAction(CallAction):
    """An action on two running calls of one user."""

    to_call: Call

    @property
    def calls(self) -> tuple[Call, ...]:
        """Both calls."""
        return self.call, self.to_call


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan may look at: the state of the PBX, its name, and what is configured."""

    state: PbxState
    pbx: str
    clear_cause: int = 26
    scope: Scope = EVERYBODY


class NoMore(TypedDict):
    """The reply has nothing besides `status`: the PBX has accepted the request."""


class Started(TypedDict):
    """A call has been started."""

    call: str


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb.

    `about`: what it does, in one line for the readers of the contract.
    `group`: the set of `commands.allow` that the verb belongs to. `basic` is what a configuration without
    that key allows. It never grows: an upgrade must not grant rights that nobody has given.
    `bare`: the field that a payload without JSON fills; "" if such a payload adds nothing; None if the verb
    takes none.
    `check`: what is wrong with the fields together, if anything. `plan` raises CommandError.
    `reply`: a TypedDict with the fields that the reply has when the PBX has accepted the request.
    `render`: makes these fields of what the backend has answered, where that holds records.
    """

    group: str
    about: str
    plan: Callable[[Context, Fields], Action]
    fields: Mapping[str, FieldKind] = field(default_factory=dict)
    bare: str | None = None
    check: Callable[[Fields], str | None] = lambda _: None
    reply: type = NoMore
    render: Callable[[Context, Fields, Json], Json] = lambda _context, _fields, answer: answer


def find_call(context: Context, fields: Fields, likely: Callable[[Call], bool] = lambda _: True) -> Call:
    """The call that is named or, without a name, the user's only one. Raises CommandError(unknown_call).

    `likely` chooses among several calls of the user.
    """
    state, pbx = context.state, context.pbx
    user = find_user(state, pbx, text(fields, "user")) if "user" in fields else None
    if "call" in fields:
        return named_call(context, text(fields, "call"), user.guid if user else None)
    calls = state.calls.get(user.guid, ()) if user else ()
    chosen = tuple(filter(likely, calls)) if len(calls) > 1 else calls
    if len(chosen) != 1:
        many = f"has {len(calls)} calls; choose one with 'call'" if calls else "has no call"
        raise CommandError("unknown_call", f"'{fields.get('user')}' on {pbx} {many}")
    return chosen[0]


def find_pair(context: Context, fields: Fields) -> tuple[Call, Call]:
    """Two calls of one user: `call` and `to_call`. One that is not named is the user's only other call.

    Raises CommandError(unknown_call).
    """
    state, pbx = context.state, context.pbx
    guid = find_user(state, pbx, text(fields, "user")).guid if "user" in fields else None
    named: dict[str, Call] = {}
    for name in ("call", "to_call"):
        if name in fields:
            named[name] = named_call(context, text(fields, name), guid)
            guid = named[name].user
    others = [call for call in state.calls.get(guid or "", ()) if call not in named.values()]
    if len(named) + len(others) != PAIR and len(named) != PAIR:
        sentence = f"the user has {len(others)} calls to choose from; name both with 'call' and 'to_call'"
        raise CommandError("unknown_call", sentence)
    rest = iter(others)
    call = named.get("call") or next(rest)
    return call, named.get("to_call") or next(rest)


def named_call(context: Context, call_id: str, guid: str | None) -> Call:
    """The running call with this id, of this user if one is given. Raises CommandError(unknown_call)."""
    call = context.state.call(call_id)
    if call is None or guid not in {None, call.user}:
        raise CommandError("unknown_call", f"no running call '{call_id}' on {context.pbx}")
    return call


def names_call(fields: Fields) -> str | None:
    """The check of a verb whose plan uses `find_call`."""
    return None if {"call", "user"} & fields.keys() else "'call' or 'user' is required"


def names_user(fields: Fields) -> str | None:
    """The check of a verb that is about a user."""
    return None if "user" in fields else "'user' is required"


def names_pair(fields: Fields) -> str | None:
    """The check of a verb whose plan uses `find_pair`."""
    if not {"call", "to_call", "user"} & fields.keys():
        return "'call', 'to_call' or 'user' is required"
    same = "call" in fields and fields["call"] == fields.get("to_call")
    return "'call' and 'to_call' must be two calls" if same else None


def text(fields: Fields, name: str) -> str:
    """A text field, unconverted: a user that comes from the topic is a TopicId and stays one."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def whole(fields: Fields, name: str) -> int | None:
    """A whole number, None where it was not given."""
    value = fields.get(name)
    return value if isinstance(value, int) else None
