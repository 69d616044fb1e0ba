"""Describe messages in words. Pure: payloads in, sentences out."""

from collections.abc import Mapping

Fields = Mapping[str, object]
_EVENTS = {
    "incoming": "is called by {far}",
    "outgoing": "calls {far}",
    "ringing": "rings ({far})",
    "answered": "talks with {far}",
    "held": "on hold: {far}",
    "retrieved": "talks again with {far}",
    "transferred": "was connected to {far}",
    "missed": "missed {far} ({outcome})",
    "ended": "ended the call with {far}: {outcome}, {talk}",
}


def of_event(payload: Fields) -> str | None:
    """One call event in words; None if it means nothing to people."""
    kind, call = str(payload.get("event_type")), _fields(payload.get("call"))
    user = str(payload.get("user"))
    if kind == "switched":
        switch = _fields(payload.get("switch"))
        return f"{user:>10}  is switched {'on' if switch.get('on') else 'off'} ({switch.get('mode')})"
    pattern = _EVENTS.get(kind)
    if pattern is None:
        return None
    talk = call.get("talk_s")
    talked = f"{talk:.1f} s" if isinstance(talk, int | float) else "no talk"
    sentence = pattern.format(far=far(_fields(call.get("remote"))), outcome=call.get("outcome"), talk=talked)
    return f"{user:>10}  {sentence}"


def of_presence(payload: Fields) -> str:
    """A user's presence in words."""
    presence = _fields(payload.get("presence"))
    note = f" ({presence.get('note')})" if presence.get("note") else ""
    return f"{payload.get('user')!s:>10}  is {presence.get('activity')}{note}"


def far(remote: Fields) -> str:
    """The remote party: name and number, or that it withholds them."""
    if remote.get("anonymous"):
        return "somebody anonymous"
    return " ".join(str(part) for part in (remote.get("name"), remote.get("number")) if part) or "somebody"


def _fields(value: object) -> Fields:
    return value if isinstance(value, dict) else {}
