"""`facility`: send a code to the innovaphone phone of a call, such as for its recording or its headset."""

from dataclasses import dataclass

from bridge.core.commands.fields import CALL, USER, Dials, Number
from bridge.core.commands.verb import CallAction, Context, Fields, Verb, find_call, names_call, whole


@dataclass(frozen=True, slots=True)
class SendFacility(CallAction):
    """Send a facility code to the phone of a call."""

    code: int


def _check(fields: Fields) -> str | None:
    return names_call(fields) if "code" in fields else "'code' is required"


def _plan(context: Context, fields: Fields) -> SendFacility:
    return SendFacility(find_call(context, fields), whole(fields, "code") or 0)


VERB = Verb(
    group="control",
    about="send a facility code to the innovaphone phone of a call",
    plan=_plan,
    fields={
        "user": USER,
        "call": CALL,
        "code": Number(1, 999, dials=Dials.FACILITY, about="one of the bridge's commands.facilities"),
    },
    check=_check,
)
