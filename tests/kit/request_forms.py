"""Good requests of every verb, found by trying the fields of its table; nothing here is written for one verb.

`forms` are the smallest sets of fields that a verb plans an action for: leaving any field out makes a request
wrong.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, product

from bridge.core.commands import checks
from bridge.core.commands.answer import Address
from bridge.core.commands.dialling import ANY, DialRules
from bridge.core.commands.fields import Dials, FieldKind, Flag, Number
from bridge.core.commands.request import Request
from bridge.core.commands.verb import Context
from bridge.core.commands.verbs import VERBS
from bridge.core.records import CallState
from bridge.core.rules import Scope
from bridge.errors import CommandError
from tests.core.builders import ANNA, BERT, PEOPLE, History, leg

LEGS = (
    leg(7, CallState.RINGING, ANNA),
    leg(8, CallState.CONNECTED, BERT, conference="c2"),
    leg(9, CallState.CONNECTED, BERT, conference="c3"),
)
"""Anna has one call, Bert has two."""
STATE = History().start(*PEOPLE).see(*LEGS).state
CALL = STATE.calls[ANNA][0].id
BERTS = tuple(call.id for call in STATE.calls[BERT])
SCOPE = Scope(forwards=True)
OPEN = DialRules(types=frozenset({ANY}), facilities=frozenset(range(1000)), from_numbers=("*",))
MOST_FIELDS = 4
BY_PART: Mapping[Dials, tuple[object, ...]] = {
    Dials.CALLER: ("anna",),
    Dials.NUMBER: ("22",),
    Dials.USER: ("bert",),
    Dials.NAME: ("Bert Ypsilon",),
    Dials.FROM_NUMBER: ("22",),
    Dials.FACILITY: (21,),
}


def values(name: str, kind: FieldKind) -> tuple[object, ...]:
    """Good values of a field, by its kind; if that does not tell, by how fields are called."""
    if kind.dials is not None and kind.dials in BY_PART:
        return BY_PART[kind.dials]
    if isinstance(kind, Flag):
        return (True,)
    if isinstance(kind, Number):
        return (kind.least,)
    if kind.words:
        return kind.words[:1]
    if name.endswith("call"):
        return (BERTS[1],) if name.startswith("to_") else (CALL, BERTS[0])
    return ("anna", "bert") if name.endswith("user") else ("22", "away", "<a/>")


@cache
def forms(verb: str) -> tuple[Mapping[str, object], ...]:
    """The smallest good requests of a verb, on the topic of the PBX."""
    kinds = VERBS[verb].fields
    found: list[Mapping[str, object]] = []
    for size in range(min(len(kinds), MOST_FIELDS) + 1):
        for names in combinations(kinds, size):
            if not any(form.keys() <= set(names) for form in found):
                found.extend(_good(verb, names))
    return tuple(found)


def _good(verb: str, names: tuple[str, ...]) -> Iterator[Mapping[str, object]]:
    """The first good request with these fields, if there is one."""
    for chosen in product(*(values(name, VERBS[verb].fields[name]) for name in names)):
        fields = dict(zip(names, chosen, strict=True))
        if is_good(verb, fields):
            yield fields
            return


def is_good(verb: str, fields: Mapping[str, object]) -> bool:
    """Whether the verb has an action for this request."""
    kinds = VERBS[verb].fields
    if VERBS[verb].check(fields) or any(kinds[name].problem(value) for name, value in fields.items()):
        return False
    try:
        checks.plan(Request(Address("t", verb), fields), Context(STATE, "hq", scope=SCOPE), OPEN)
    except CommandError:
        return False
    return True
