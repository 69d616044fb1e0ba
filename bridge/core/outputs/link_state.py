"""The topics `state` and `info` of a PBX: whether its users can be relied on, and why not. Pure."""

from collections.abc import Iterator

from bridge.core import payloads, render
from bridge.core.message import Message
from bridge.core.model import Changes
from bridge.core.outputs.output import Output, View


def word(*, online: bool) -> payloads.StatePayload:
    """What the state topic must say."""
    return "online" if online else "offline"


def _tree(view: View) -> Iterator[Message]:
    yield Message(view.topics.state, word(online=view.online), retain=True)
    yield Message(view.topics.info, _info(view), retain=True)


def _news(before: View, after: View, _changes: Changes) -> Iterator[Message]:
    """Both topics for a new status or a takeover; `info` alone when a count has changed."""
    if (after.status, after.takeovers) != (before.status, before.takeovers):
        yield from _tree(after)
    elif _counts(after) != _counts(before):
        yield Message(after.topics.info, _info(after), retain=True)


def _counts(view: View) -> tuple[int, int | None, int, bool]:
    """While the PBX is asked for one user after another, the number of monitored users is no news."""
    monitored = None if view.asking else view.monitored
    return len(view.state.users), monitored, view.calls, view.settled


def _info(view: View) -> payloads.Info:
    return {
        "schema": payloads.SCHEMA,
        "pbx": view.topics.pbx,
        "link": view.status.link,
        "reason": view.status.reason,
        "since": render.rfc3339(view.status.since_ms),
        "firmware": view.about.firmware,
        "serial": view.about.serial,
        "location": view.about.location,
        "address": "standby" if view.on_standby else "primary",
        "master": _master(view),
        "users": len(view.state.users),
        "monitored": view.monitored,
        "calls": view.calls,
        "settled": view.settled,
        "takeovers": view.takeovers,
        "bridge": view.version,
        "time": render.rfc3339(view.now.unix_ms),
    }


def _master(view: View) -> payloads.Master | None:
    home = view.home
    return None if home is None or home.finds else {"pbx": home.master, "location": home.location}


OUTPUT = Output(_news, _tree)
