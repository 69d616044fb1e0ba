"""Queries: about users without a session, about calls and devices with one."""

from bridge.sim.arguments import Args, text, true, whole
from bridge.sim.desk import Desk, UnknownSession
from bridge.sim.model import Entry, LegNews, SimUser, UserNews

ESCAPE = "0"
"""The prefix of outside numbers (UserLocalNum)."""


async def version(desk: Desk, _args: Args) -> list[str]:
    """Firmware and the like."""
    scalar, profile = desk.writer.scalar, desk.profile
    return [
        scalar("WSDLVersion", 501),
        scalar("GatekeeperID", profile.location),
        scalar("Location", profile.location),
        scalar("FirmwareVersion", profile.firmware),
        scalar("SerialNumber", profile.serial),
    ]


async def find_user(desk: Desk, args: Args) -> list[str]:
    """Find users; the search string is a position in the sorted list, not a filter (docs/wire.md#queries)."""
    count = whole(args, "count")
    if count > desk.profile.crash_count:
        raise UnknownSession
    found = _from_place(desk, args)[: max(0, count)]
    fields = [_user(desk, user) for user in found]
    return [desk.writer.array("user", fields, outer="return")]


def _from_place(desk: Desk, args: Args) -> list[SimUser]:
    """Users from a position on. At the end of the list start over, except for a request of the next page."""
    key = next((name for name in ("e164", "h323", "cn") if text(args, name)), "cn")
    wanted, paging = text(args, key), whole(args, "next") != 0
    place = (wanted.casefold(), wanted)
    users = [user for user in desk.exchange.users.values() if true(args, "nohide") or not user.hidden]
    keyed = sorted(((_key(user, key), user) for user in users if _key(user, key)[1]), key=lambda one: one[0])
    found = [user for own, user in keyed if own > place or (own == place and not paging)]
    return found if found or paging else [user for _, user in keyed]


def _key(user: SimUser, attribute: str) -> tuple[str, str]:
    name = str(getattr(user, attribute))
    return name.casefold(), name


async def calls(desk: Desk, args: Args) -> list[str]:
    """The current calls of a user."""
    desk.session(args)
    user = desk.exchange.users.get(text(args, "user"))
    legs = [leg for leg in desk.exchange.legs.values() if user and leg.guid == user.id and not leg.xfer_only]
    news = [LegNews(0, leg.number, leg.word, tuple(leg.numbers), "", leg.conf, leg.cause) for leg in legs]
    fields = [desk.writer.leg_fields(one) for one in news]
    return [desk.writer.array("call", fields, outer="return")]


async def devices(desk: Desk, args: Args) -> list[str]:
    """The devices of a user."""
    desk.session(args)
    user = desk.exchange.users.get(text(args, "user"))
    scalar = desk.writer.scalar
    fields = [scalar("hw", hw) + scalar("text", words) for hw, words in (user.hardware if user else ())]
    return [desk.writer.array("devices", fields, outer="return")]


async def location_url(desk: Desk, args: Args) -> list[str]:
    """The address of a PBX of this system, with `tls` its HTTPS one; empty for other locations."""
    url = desk.locations().get(text(args, "loc"), "")
    return desk.answer(url.replace("http://", "https://", 1) if true(args, "tls") else url)


async def find_destination(desk: Desk, args: Args) -> list[str]:
    """Whether a number is complete or may continue, and the user who has it; needs no session."""
    if whole(args, "user"):
        desk.monitored(args)
    wanted = text(args, "h323") or text(args, "e164")
    user = desk.exchange.find(wanted)
    numbers = [other.e164 for other in desk.exchange.users.values()]
    incomplete = user is None and any(number.startswith(wanted) for number in numbers if wanted)
    found = f"<user>{_user(desk, user)}</user>" if user else '<user xsi:nil="true"/>'
    return [*desk.answer(incomplete), found]


async def local_number(desk: Desk, args: Args) -> list[str]:
    """A number as dialled here: internal numbers unchanged, others with the outside prefix."""
    desk.monitored(args)
    number = text(args, "num")
    return desk.answer(number if not number or desk.exchange.find(number) else ESCAPE + number)


async def set_presence(desk: Desk, args: Args) -> list[str]:
    """Set one contact's presence, by guid or, with guid "*", by short name (docs/wire.md#presence)."""
    guid, short = text(args, "guid"), text(args, "h323")
    user = desk.exchange.by_guid(guid) if guid != "*" else None
    if user is None and short:
        user = next((user for user in desk.exchange.users.values() if user.h323 == short), None)
    presence = args.get("presence")
    if user is None or not isinstance(presence, dict):
        return desk.answer(0)
    entry = Entry(text(args, "contact"), *(text(presence, name) for name in ("activity", "note", "status")))
    desk.exchange.set_presence(user.cn, entry)
    return desk.answer(1)


async def license_text(desk: Desk, args: Args) -> list[str]:
    """What a licence says; the operation is not documented."""
    desk.session(args)
    return desk.answer(desk.profile.licences.get(text(args, "name"), ""))


async def user_license(desk: Desk, args: Args) -> list[str]:
    """Whether a user has a licence; the operation is not documented."""
    user = desk.exchange.by_guid(text(args, "guid"))
    return desk.answer(user is not None and text(args, "type") in user.licences)


def _user(desk: Desk, user: SimUser) -> str:
    return desk.writer.user_fields(UserNews(user, *desk.exchange.counts(user.id)))
