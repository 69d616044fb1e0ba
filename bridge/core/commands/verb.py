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


class Action:
    """What a request wants done at the PBX. Each subclass is a frozen value with a row in the backend."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CallAction(Action):
    """An action on a running call. It needs the PBX to have confirmed the call."""

    call: Call


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


def find_call(context: Context, fields: Fields) -> Call:
    """The call that is named or, without a name, the user's only one. Raises CommandError(unknown_call)."""
    state, pbx = context.state, context.pbx
    user = find_user(state, pbx, text(fields, "user")) if "user" in fields else None
    if "call" in fields:
        call = state.call(str(fields["call"]))
        if call is None or (user is not None and call.user != user.guid):
            raise CommandError("unknown_call", f"no running call '{fields['call']}' on {pbx}")
        return call
    calls = state.calls.get(user.guid, ()) if user else ()
    if len(calls) != 1:
        many = f"has {len(calls)} calls; choose one with 'call'" if calls else "has no call"
        raise CommandError("unknown_call", f"'{fields.get('user')}' on {pbx} {many}")
    return calls[0]


def names_call(fields: Fields) -> str | None:
    """The check of a verb whose plan uses `find_call`."""
    return None if {"call", "user"} & fields.keys() else "'call' or 'user' is required"


def names_user(fields: Fields) -> str | None:
    """The check of a verb that is about a user."""
    return None if "user" in fields else "'user' is required"


def text(fields: Fields, name: str) -> str:
    """A text field, unconverted: a user that comes from the topic is a TopicId and stays one."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def whole(fields: Fields, name: str) -> int | None:
    """A whole number, None where it was not given."""
    value = fields.get(name)
    return value if isinstance(value, int) else None
