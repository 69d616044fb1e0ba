"""Describes messages in words. Pure: payloads in, sentences out."""

from bridge.watch.reading import Fields, far_end, nested, seconds, text

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
_CALLER_HEARS = "hears it ring at {far}"
"""`ringing` of an outbound call: the telephone that rings is that of the other side."""


def of_event(payload: Fields) -> str | None:
    """One call event in words; None if it means nothing to people."""
    kind, call = text(payload.get("event_type")), nested(payload.get("call"))
    user = text(payload.get("user"))
    if kind == "switched":
        switch = nested(payload.get("switch"))
        return f"{user:>10}  is switched {'on' if switch.get('on') else 'off'} ({text(switch.get('mode'))})"
    caller_hears = kind == "ringing" and call.get("direction") == "outbound"
    pattern = _CALLER_HEARS if caller_hears else _EVENTS.get(kind)
    if pattern is None:
        return None
    talk_s = seconds(call.get("talk_s"))
    talk = "no talk" if talk_s is None else f"{talk_s:.1f} s"
    far = far_end(nested(call.get("remote")))
    return f"{user:>10}  {pattern.format(far=far, outcome=text(call.get('outcome')), talk=talk)}"


def of_presence(payload: Fields) -> str:
    """A user's presence in words."""
    presence = nested(payload.get("presence"))
    note = f" ({text(presence.get('note'))})" if presence.get("note") else ""
    return f"{text(payload.get('user')):>10}  is {text(presence.get('activity'))}{note}"
