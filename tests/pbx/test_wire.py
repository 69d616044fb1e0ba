"""Poll replies in every dress: decoded alike, and as zeep understands them."""

from math import ceil
from typing import Any

import pytest

from bridge.core.records import CallState, Group, LegRecord, Party, Presence, ReleasedBy, UserRecord
from bridge.errors import ProtocolError
from bridge.pbx.decode import HeardLeg
from bridge.pbx.parse import PIECE, growing, parse_xml
from bridge.pbx.soap import Soap
from bridge.pbx.wire import SLICE, PollSlice, Records, SoapFault, decode_poll
from bridge.sim import xml
from bridge.sim.model import Entry, LegNews, No, SimUser, UserNews
from bridge.sim.xml import Decoration, Writer
from tests.pbx.oracle import zeeps_answer

ANNA = SimUser(
    "Anna Müller",
    "anna",
    "21",
    "Anna <&>",
    guid="a1",
    groups=(("all", True), ("x", False)),
    emails=("a@example.com",),
    presence=(Entry("tel:", "busy", "back at 5", "open"),),
)
LEG = LegNews(
    4,
    17,
    132 + 256,
    (
        No("peer", "", "ACME", "0123"),
        No("this", "Anna Müller", "Anna", "21", "anna"),
        No("ct", "Bert", "", "22", "bert"),
    ),
    "x-alert",
    "conf-1",
    17,
    "a%20b",
)
DRESSES = [
    Decoration(),
    Decoration(xsi_type=False),
    Decoration(xsi_type=False, array_type=False),
    Decoration(array_type=False),
    Decoration(item_names=True),
    Decoration(item_names=True, xsi_type=False, array_type=False),
    Decoration(named_types=True),
    Decoration(named_types=True, item_names=True, extra=True),
    Decoration(old_order=True, two_presences=True),
    Decoration(empty="missing"),
    Decoration(empty="nil", extra=True),
]


def poll_reply(how: Decoration, users: list[UserNews], legs: list[LegNews]) -> bytes:
    """A Poll reply as the simulated PBX writes it."""
    writer = Writer(how)
    return writer.finish(xml.reply("Poll", [writer.any_info(users, legs)]))


def whole(body: bytes) -> PollSlice:
    """All slices as one."""
    parts = list(decode_poll(body))
    return PollSlice(
        tuple(user for part in parts for user in part.users),
        tuple(leg for part in parts for leg in part.legs),
        any(part.list_complete for part in parts),
    )


@pytest.mark.parametrize("how", DRESSES)
def test_every_dress_gives_the_same_records(how: Decoration) -> None:
    """Item names, types, order, extra and missing elements do not matter (docs/wire.md#robustness)."""
    news = [UserNews(ANNA, 2, 1), UserNews(SimUser(""), end_of_list=True), UserNews(ANNA, gone=True)]
    batch = whole(poll_reply(how, news, [LEG]))

    anna = UserRecord(
        "a1",
        "Anna Müller",
        "Anna <&>",
        "anna",
        "21",
        "ep",
        registered=True,
        channels=2,
        alerting=1,
        presence=Presence("busy", "open", "back at 5"),
        groups=(Group("all", active=True), Group("x", active=False)),
        emails=("a@example.com",),
        node="root",
    )
    assert batch.users[0] == anna
    assert [user.active for user in batch.users] == [True, False]
    assert batch.list_complete
    leg = LegRecord(
        "",
        17,
        CallState.RINGING,
        to_user=True,
        held=True,
        remote=Party("0123", "", "ACME"),
        local=Party("21", "Anna Müller", "Anna", "anna"),
        transferred_by=Party("22", "Bert", "", "bert"),
        conference="conf-1",
        cause=17,
        uui="a b",
    )
    assert batch.legs == (HeardLeg(4, leg),)


@pytest.mark.parametrize("how", DRESSES)
def test_zeep_reads_the_same_bytes_alike(how: Decoration) -> None:
    """The independent oracle: names, numbers, states and parties agree."""
    body = poll_reply(how, [UserNews(ANNA, 2, 1), UserNews(SimUser("Bert"))], [LEG])
    seen: Any = zeeps_answer("Poll", body)
    batch = whole(body)

    users = seen.user.item if hasattr(seen.user, "item") else seen.user
    calls = seen.call.item if hasattr(seen.call, "item") else seen.call
    assert [user.cn for user in users] == [user.name for user in batch.users]
    assert [(user.guid, user.state == 1, user.channel) for user in users] == [
        (user.guid, user.registered, user.channels) for user in batch.users
    ]
    assert [(call.user, call.call, bool(call.state & 128)) for call in calls] == [
        (leg.user_handle, leg.record.leg_handle, leg.record.to_user) for leg in batch.legs
    ]
    numbers = calls[0].No.item if hasattr(calls[0].No, "item") else calls[0].No
    assert numbers[0].e164 == batch.legs[0].record.remote.number


def test_a_latin1_byte_is_read_as_latin1() -> None:
    """And the rest as UTF-8; control characters are dropped, with or without a declaration."""
    body = poll_reply(Decoration(latin1=True), [UserNews(ANNA)], [])
    assert whole(body).users[0].name == "Anna Müller"
    assert whole(body.replace(b'<?xml version="1.0" encoding="utf-8"?>', b"")).users[0].name == "Anna Müller"
    assert whole(body.replace(b"Anna", b"An\x01na", 1)).users[0].name == "Anna Müller"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not XML"),
        (b"<html><body>Login</body></html>", "web page"),
        (b"<login/>", "not SOAP but <login>"),
        (b"<!DOCTYPE html><html/>", "web page"),
        (b"<!DOCTYPE e><e/>", "DTD"),
        ("<!DOCTYPE e><e/>".encode("utf-16"), "DTD"),
        (poll_reply(Decoration(), [UserNews(ANNA)], [])[:-40], "not XML"),
        (b"<a>" * 300 + b"</a>" * 300, "not XML"),
        (b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>', "empty"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, words: str) -> None:
    """With a short reason and never the content."""
    with pytest.raises(ProtocolError) as refusal:
        list(decode_poll(body))

    assert words in refusal.value.reason
    assert "Login" not in refusal.value.reason


def test_a_fault_ends_the_session() -> None:
    """One of the ways to say that the session is not known."""
    with pytest.raises(SoapFault, match="gone away"):
        list(decode_poll(xml.fault("gone away")))


def test_no_result_is_an_empty_batch() -> None:
    """As is one without arrays."""
    empty = [whole(xml.reply("Poll", parts)) for parts in ([], ["<return/>"])]

    headed = xml.reply("Poll", []).replace(b"<e:Body>", b"<e:Header/><e:Body>")

    assert [*empty, whole(headed)] == [PollSlice()] * 3
    assert not empty[0]


def test_flat_arrays_are_understood_too() -> None:
    """Records directly under the result, as the literal dialect has them."""
    flat = (
        "<return><user><cn>A</cn><active>0</active></user><call><call>3</call><user>4</user></call></return>"
    )
    batch = whole(xml.reply("Poll", [flat]))

    assert (batch.users[0].guid, batch.users[0].active) == ("name:A", False)
    assert (batch.legs[0].record.leg_handle, batch.legs[0].user_handle) == (3, 4)


@pytest.mark.parametrize(
    ("state", "message", "side"),
    [
        (6, "", ReleasedBy.REMOTE),
        (7, "", ReleasedBy.USER),
        (5, "x-rel", ReleasedBy.USER),
        (5, "r-rel", ReleasedBy.REMOTE),
        (5, "", None),
    ],
)
def test_who_let_go(state: int, message: str, side: ReleasedBy | None) -> None:
    """By the state, else by the message (docs/wire.md#messages)."""
    news = LegNews(1, 2, state, (), message, "", None)

    assert whole(poll_reply(Decoration(), [], [news])).legs[0].record.released_by == side


def test_a_pickup_and_odd_numbers() -> None:
    """Party `ct` beside `picking` is who was picked from; numbers that are none read as 0."""
    picked = LegNews(1, 2, 5, (No("picking"), No("ct", "Bert")), "", "", None)
    alone = LegNews(1, 2, 5, (No("picking"),), "", "", None)
    body = poll_reply(Decoration(xsi_type=False), [], [picked, alone]).replace(b"<state>5<", b"<state>x<")
    legs = [leg.record for leg in whole(body).legs]

    assert legs[0].picked_up_from == Party("", "Bert")
    assert legs[1].picked_up_from == Party()
    assert (legs[0].transferred_by, legs[0].state) == (None, CallState.SETUP)


def test_large_replies_come_in_slices() -> None:
    """So that other links get their turn in between; empty ones while the reply is still read."""
    users = [UserNews(SimUser(f"User {number}")) for number in range(SLICE * 2 + 1)]
    body = poll_reply(Decoration(), users, [])
    sizes = [len(part.users) for part in decode_poll(body)]

    assert sizes == [*[0] * ceil(len(body) / PIECE), SLICE, SLICE, 1]


ODD = {
    "flat": "<user><groups><groups><group>g</group></groups></groups><cn>A{}</cn></user>",
    "flat calls": "<call><call>{}</call><user>4</user><state>5</state></call>",
    "strange items": "<user><person><cn>A{}</cn></person><cat/><person><cn>B{}</cn></person></user>",
    "an empty item first": "<user><user/><user><cn>A{}</cn></user></user>",
    "an empty item later": "<call><call><call>{}</call></call><call/><call><call>2</call></call></call>",
    "several arrays": "<user><user><cn>A{}</cn></user></user><x/><call><item><call>{}</call></item></call>",
    "a namespace": '<n:user xmlns:n="n"><n:user><n:cn>A{}</n:cn></n:user></n:user>',
    "nobody's": "<reg><user><cn>A{}</cn></user></reg>",
}


@pytest.mark.parametrize("piece", [1, 10, 37, 500])
@pytest.mark.parametrize("body", [*DRESSES, *ODD.values()], ids=[*map(str, range(len(DRESSES))), *ODD])
def test_pieces_do_not_matter(body: Decoration | str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large reply is decoded while it is parsed, and gives the same records as in one piece."""
    if isinstance(body, str):
        reply = xml.reply("Poll", [f"<return>{''.join(body.format(n, n) for n in range(9))}</return>"])
    else:
        users = [UserNews(ANNA, number) for number in range(9)]
        reply = poll_reply(body, [*users, UserNews(SimUser(""), end_of_list=True)], [LEG] * 9)
    at_once = whole(reply)
    monkeypatch.setattr("bridge.pbx.parse.PIECE", piece)

    assert whole(reply) == at_once


@pytest.mark.parametrize("how", DRESSES)
def test_what_is_decoded_is_gone(how: Decoration, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the list, only a piece of its tree is there."""
    monkeypatch.setattr("bridge.pbx.parse.PIECE", 5000)
    body = poll_reply(how, [UserNews(ANNA)] * 200, [LEG] * 200)
    records, left = Records(), list[int]()
    for root, complete in growing(body):
        records.take(root, whole=complete)
        left.append(0 if root is None else sum(1 for _ in root.iter()))

    total = sum(1 for _ in parse_xml(body)[0].iter())
    assert len(left) == ceil(len(body) / 5000) + 1
    assert max(left) < total / 20


def test_a_number_that_is_none_reads_as_nothing() -> None:
    """One odd field does not cost the answer."""
    answer = Soap().answer("Version", xml.reply("Version", ["<WSDLVersion>x</WSDLVersion>"]))

    assert answer["WSDLVersion"] is None


def test_texts_stay_as_they_came() -> None:
    """The PBX knows its objects by them; only words of a list lose their blanks."""
    user = SimUser(
        " A ", "a ", " 21", " dn ", guid=" g ", type="ep", groups=((" x ", True),), emails=(" m ",)
    )
    leg = LegNews(1, 2, 132, (No("peer", " cn ", " dn ", " 0 ", " h "),), "x-alert", " conf ", None)
    body = poll_reply(Decoration(xsi_type=False), [UserNews(user)], [leg])
    body = body.replace(b"<type>ep<", b"<type> ep\n<").replace(b"<type>peer<", b"<type> peer <")
    batch = whole(body.replace(b"<active>true<", b"<active> true <").replace(b"<call>2<", b"<call> 2 <"))
    (seen,) = batch.users

    assert (seen.name, seen.short_name, seen.number, seen.display_name) == (" A ", "a ", " 21", " dn ")
    assert (seen.guid, seen.type, seen.active) == (" g ", "ep", True)
    assert (seen.groups, seen.emails) == ((Group(" x ", active=True),), (" m ",))
    assert batch.legs[0].record.remote == Party(" 0 ", " cn ", " dn ", " h ")
    assert (batch.legs[0].record.leg_handle, batch.legs[0].record.conference) == (2, " conf ")


@pytest.mark.parametrize(
    ("name", "guid", "ends"), [("", "", True), ("", "g", True), (" ", "", True), (" ", "g", False)]
)
def test_what_ends_the_list(name: str, guid: str, ends: bool) -> None:  # noqa: FBT001  (a case)
    """An empty long name; one of blanks only is somebody's who has a guid."""
    part = f"<return><user><user><cn>{name}</cn><guid>{guid}</guid></user></user></return>"
    batch = whole(xml.reply("Poll", [part]))

    assert (batch.list_complete, len(batch.users)) == (ends, not ends)


def test_endless_lists_of_a_user_are_cut() -> None:
    """A thousand groups are kept; without end, or long ones, they cost no more than that."""
    many = tuple((f"group {number}", True) for number in range(5000))
    usual, crowd, large = (
        whole(poll_reply(Decoration(), [UserNews(user)], [])).users[0]
        for user in (
            SimUser("A", groups=many[:1000], emails=("a@example.com",) * 500),
            SimUser("B", groups=many, emails=("",) * 5000),
            SimUser("C", groups=(("x" * 9000, True),), emails=("x" * 9000,) * 5000),
        )
    )

    assert (len(usual.groups), len(usual.emails)) == (1000, 500)
    assert 1000 < len(crowd.groups) < 2000
    assert crowd.emails == ()
    assert [len(each.name) for each in large.groups] == [1024]
    assert len(large.emails) <= 32
