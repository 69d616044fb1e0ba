"""`find`: look users up in the PBX's list, also those that are not published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from bridge.core.commands.fields import Flag, Number, Text
from bridge.core.commands.found import FoundUser, found_user, with_room
from bridge.core.commands.verb import Action, Context, Fields, Verb, text, whole
from bridge.core.message import Json
from bridge.core.records import UserRecord

BY = ("name", "short_name", "number")
MOST = 20
"""A PBX may fail when it is asked for more users at once (docs/wire.md#queries)."""


@dataclass(frozen=True, slots=True)
class FindUsers(Action):
    """Read a page of the list of users, sorted by one of BY, from a place on or from behind another."""

    by: str
    wanted: str
    after: str
    limit: int
    hidden: bool


class Page(TypedDict):
    """Users, and where the next page starts: the `after` of the next request; null at the end."""

    users: list[FoundUser]
    next: str | None


class Found(TypedDict):
    """The users that were found."""

    result: Page


def _check(fields: Fields) -> str | None:
    return (
        "at most one of 'name', 'short_name' and 'number' can be given" if len(_given(fields)) > 1 else None
    )


def _given(fields: Fields) -> list[str]:
    return [name for name in BY if fields.get(name)]


def _plan(_context: Context, fields: Fields) -> FindUsers:
    by = next(iter(_given(fields)), "name")
    return FindUsers(
        by=by,
        wanted=text(fields, by),
        after=text(fields, "after"),
        limit=whole(fields, "limit") or MOST,
        hidden=fields.get("hidden") is True,
    )


def _render(context: Context, fields: Fields, answer: Json) -> Json:
    """Only users who are what was asked for: a PBX goes on with others, or starts from the first one."""
    action = _plan(context, fields)
    page = answer.get("users")
    records: Sequence[UserRecord | None] = page if isinstance(page, tuple) else ()
    found = [record for record in records if record is not None and _fits(record, action, fields)]
    shown = with_room([found_user(context.state, record) for record in found])
    last = getattr(found[len(shown) - 1], action.by) if shown else ""
    rest = len(shown) < len(found) or (len(records) >= action.limit and records[-1] is found[-1])
    page_ends = not shown or not rest or last == action.after
    return {"result": {"users": shown, "next": None if page_ends else last}}


def _fits(record: UserRecord, action: FindUsers, fields: Fields) -> bool:
    own, wanted = getattr(record, action.by).casefold(), action.wanted.casefold()
    return not wanted or own == wanted or (fields.get("prefix") is True and own.startswith(wanted))


VERB = Verb(
    group="query",
    about="look users up, also those that are not published",
    plan=_plan,
    fields={
        "name": Text(about="the long name"),
        "short_name": Text(about="the short name"),
        "number": Text(64, about="the number"),
        "prefix": Flag(about="what is given is only its beginning"),
        "after": Text(1024, about="the `next` of the page before"),
        "limit": Number(1, MOST, about="how many users at most; 20 without it"),
        "hidden": Flag(about="also users that the PBX hides from its directory"),
    },
    check=_check,
    reply=Found,
    render=_render,
)
