"""Each operation of the WSDL, asked by zeep's plain client: by the vendor's file, and by our own.

The simulator decorates its answers for the vendor's file; our own file is what `bridge/pbx` reads, which
takes decorations off. A test has the name of its operation; README.md lists them.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from lxml import etree

from bridge.core.commands.verbs import VERBS
from bridge.pbx.operations import OPERATIONS
from bridge.sim.desk import Profile
from bridge.sim.model import Forward, Leg, No, SimUser
from bridge.sim.moves import SimCall
from bridge.sim.pbx import SimOptions, SimPbx
from bridge.sim.session import Habits
from bridge.sim.xml import Decoration
from tests.bus import PATIENCE_S
from tests.kit.vendor import plain_client, service_at, vendors_wsdl
from tests.running import STAFF

ROOT = Path(__file__).parents[2]
OUR_WSDL = ROOT / "bridge" / "pbx" / "pbx.wsdl"
OPERATION = "{http://schemas.xmlsoap.org/wsdl/}portType/{http://schemas.xmlsoap.org/wsdl/}operation"
FLAGS = dict.fromkeys(("v", "v501", "v700", "v800", "vx1000"), True)
TEXT_FLAGS = ["true"] * 4
ANNA, BERT, CARLA = "Anna Müller", "Bert O'Neil", "Carla & Co"
TEAM = (
    *STAFF,
    SimUser("Team", "team", "40", type="broadcast", groups=(("all", False),)),
    SimUser("Dora", "dora", "24", groups=(("all", False), ("Team", True)), licences=("App(platform)",)),
    SimUser("Emil", "emil", "25", groups=(("all", False), ("Team", True))),
    SimUser("Far", "far", "26", loc="branch", groups=(("all", False),)),
)
PLAIN = Decoration(xsi_type=False, array_type=False, item_names=True)
QUICK = SimOptions(
    profile=Profile(
        call_step_s=0.01,
        far_end_answers_s=0.01,
        no_answer_s=0.05,
        on_hook_s=0.05,
        licences={"Port": "10"},
        encodes_uui=True,
    ),
    habits=Habits(hold_s=0.2, batch=3),
)


def listed(array: Any) -> list[Any]:
    """Items of an array, however zeep shows it."""
    return list(getattr(array, "item", array) or [])


@dataclass
class Caller:
    """A client with a session, and what it has been told."""

    sim: SimPbx
    service: Any
    session: int = 0
    key: int = 0
    users: list[Any] = field(default_factory=list)
    legs: list[Any] = field(default_factory=list)

    async def ask(self, operation: str, *args: Any, **more: Any) -> Any:
        """One operation."""
        return await asyncio.to_thread(getattr(self.service, operation), *args, **more)

    async def open(self, user: str = "API") -> None:
        """A session, and its first list."""
        opened = await self.ask("Initialize", user=user, appl="test", **FLAGS)
        self.session, self.key = opened["return"], opened["key"]
        while not any(user.cn is None for user in self.users):
            await self.poll()

    async def poll(self) -> None:
        """One Poll."""
        told = await self.ask("Poll", self.session)
        self.users += listed(told.user)
        self.legs += listed(told.call)

    async def monitor(self, cn: str, *, xfer: bool = False, disc: bool = False, hw: str = "") -> int:
        """A handle of a user."""
        return int(await self.ask("UserInitialize", self.session, cn, xfer=xfer, disc=disc, hw=hw))

    async def told(self, handle: int, right: Callable[[Any], object]) -> Any:
        """The first record of a handle that is right, from now or from before."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for leg in self.legs:
                    if leg.user == handle and right(leg):
                        return leg
                await self.poll()

    async def call(
        self, handle: int, *, number: str = "", name: str = "", rc: int = 0, shown: str = ""
    ) -> int:
        """Place a call."""
        return int(await self.ask("UserCall", handle, name, number, "", 0, [], rc, shown))

    def leg(self, cn: str) -> Leg:
        """The one leg of a user."""
        guid = self.sim.exchange.users[cn].id
        (leg,) = [leg for leg in self.sim.exchange.legs.values() if leg.guid == guid]
        return leg

    def the_call(self) -> SimCall:
        """The only call."""
        (call,) = self.sim.exchange.calls
        assert isinstance(call, SimCall)
        return call


@pytest.fixture(params=[pytest.param("vendor", marks=pytest.mark.vendor), "ours"])
async def caller(request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    """A client without a session, of either file."""
    ours = request.param == "ours"
    client = await asyncio.to_thread(plain_client, str(OUR_WSDL) if ours else vendors_wsdl())
    options = replace(QUICK, decoration=PLAIN) if ours else QUICK
    async with SimPbx(TEAM, options) as sim:
        yield Caller(sim, service_at(client, sim.soap_url))
        client.transport.session.close()


@pytest.fixture
async def line(caller: Caller) -> Caller:
    """A client with a session."""
    await caller.open()
    return caller


def info(leg: Any, kind: str) -> Any:
    """A piece of information of a leg."""
    return next((one for one in listed(leg.info) if one.type == kind), None)


def party(leg: Any, kind: str) -> Any:
    """A party of a leg."""
    return next((one for one in listed(leg.No) if one.type == kind), None)


def table() -> dict[str, tuple[str, str]]:
    """The table of README.md: what reaches an operation, and its test."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    section = page.partition("\n## Every operation of the PBX\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \| (.+) \| `(\w+)` \|$", section, re.MULTILINE)
    return {operation: (reached, test) for operation, reached, test in rows}


def test_each_operation_of_the_wsdl_has_a_row_and_a_test() -> None:
    """No more and no less."""
    wsdl = {str(one.get("name")) for one in etree.parse(OUR_WSDL).iterfind(OPERATION)}

    assert (len(wsdl), set(table())) == (34, wsdl)
    assert {test for _, test in table().values()} - set(globals()) == set()
    assert len({test for _, test in table().values()}) == 34


def test_the_table_names_the_verb_of_each_operation() -> None:
    """The class of an action belongs to its verb; who has none says why."""
    reached = {operation: set(re.findall(r"`(\w+)`", text)) for operation, (text, _) in table().items()}
    missing = {
        (operation.name, verb)
        for action, operation in OPERATIONS.items()
        if (verb := action.__module__.rpartition(".")[2]) not in reached[operation.name]
    }

    assert missing == set()
    assert set().union(*reached.values()) == set(VERBS)
    assert all(verbs or "no verb: " in table()[operation][0] for operation, verbs in reached.items())


async def test_version(caller: Caller) -> None:
    """Without a session; the firmware has blanks at its end."""
    answer = await caller.ask("Version")

    assert (answer.WSDLVersion, answer.FirmwareVersion) == (501, "14r2 simulated  ")
    assert answer.SerialNumber == "00-90-33-00-00-2a"


async def test_echo(line: Caller) -> None:
    """The key must be right, and the session alive."""
    assert await line.ask("Echo", line.session, line.key) == 1
    assert await line.ask("Echo", line.session, line.key + 1) == 0
    assert await line.ask("Echo", line.session + 1, line.key) == 0


async def test_admin(line: Caller) -> None:
    """A diversion is added, told as `cfg`, shown and removed; success has a line end behind it."""
    who = quoteattr(BERT)
    document = f'<user cn={who}><cd type="cfu"><ep e164="23"/></cd></user>'
    line.users.clear()

    assert await line.ask("Admin", f"<add-attrib>{document}</add-attrib>") == "<ok/>\n"
    while not any(user.cn == BERT and user.cfg for user in line.users):
        await line.poll()
    shown = etree.fromstring(await line.ask("Admin", f"<show><user cn={who}/></show>"))
    assert [end.get("e164") for end in shown.iterfind("user/cd/ep")] == ["23"]
    assert await line.ask("Admin", f"<del-attrib>{document}</del-attrib>") == "<ok/>\n"
    assert line.sim.exchange.users[BERT].forwards == ()


async def test_initialize(caller: Caller) -> None:
    """By the long name, with all flags."""
    opened = await caller.ask("Initialize", user="API", appl="test", **FLAGS)
    nobody = await caller.ask("Initialize", user="Nobody", appl="test", **FLAGS)
    old = await caller.ask("Initialize", user="API", appl="test", **(FLAGS | {"vx1000": False}))

    assert opened["return"] > 0
    assert opened["key"] > 0
    assert [(one["return"], one["key"]) for one in (nobody, old)] == [(0, 0), (0, 0)]


async def test_end(line: Caller) -> None:
    """The session is gone."""
    await line.ask("End", line.session)

    assert (await line.ask("Echo", line.session, line.key), len(line.sim.sessions)) == (0, 0)


async def test_poll(line: Caller) -> None:
    """The first list with its end, then nothing, then a change."""
    assert [user.cn for user in line.users] == [*sorted(user.cn for user in TEAM), None]
    line.users.clear()
    await line.poll()
    assert (line.users, line.legs) == ([], [])
    line.sim.set_presence(ANNA, "away", "back at 3")
    await line.poll()

    (anna,) = line.users
    assert (anna.cn, anna.e164, anna.state, anna.channel) == (ANNA, "21", 1, 0)
    assert (anna.presence.activity, anna.presence.note) == ("away", "back at 3")
    assert [(one.group, one.active) for one in listed(anna.groups)] == [("all", False), ("sales", True)]


async def test_license(line: Caller) -> None:
    """What is known, else nothing."""
    assert await line.ask("License", line.session, "Port") == "10"
    assert not await line.ask("License", line.session, "None")


async def test_devices(line: Caller) -> None:
    """A phone has one; a group and an unknown user have none."""
    found = [listed(await line.ask("Devices", line.session, cn)) for cn in (ANNA, "Team", "Nobody")]

    assert [[(one.hw, one.text) for one in some] for some in found] == [[("anna", "Anna")], [], []]


async def test_calls(line: Caller) -> None:
    """Without a handle; `conf` tells which call it is."""
    line.sim.ring(ANNA, "0123", "ACME", conf="c-1")

    (leg,) = listed(await line.ask("Calls", line.session, ANNA))
    assert (leg.user, leg.state, info(leg, "conf").vals) == (0, 132, "c-1")
    assert (party(leg, "peer").e164, party(leg, "this").cn) == ("0123", ANNA)
    assert listed(await line.ask("Calls", line.session, BERT)) == []


async def test_user_initialize(line: Caller) -> None:
    """Running calls are told at once; not by number, not with a wrong device, not from another PBX."""
    line.sim.ring(ANNA, "0123")
    line.sim.ring("Far", "0123")
    silent, far, handle = (
        await line.monitor(ANNA, hw="typo"),
        await line.monitor("Far"),
        await line.monitor(ANNA),
    )

    assert (await line.told(handle, lambda leg: leg.active)).state == 132
    assert {leg.user for leg in line.legs}.isdisjoint({silent, far})
    assert [await line.monitor(name) for name in ("21", "anna", "Nobody")] == [0, 0, 0]


async def test_user_end(line: Caller) -> None:
    """Nothing is told of the user any more."""
    first, second = await line.monitor(ANNA), await line.monitor(ANNA)
    await line.ask("UserEnd", first)
    line.sim.ring(ANNA, "0123")
    await line.told(second, lambda leg: leg.state == 132)

    assert {leg.user for leg in line.legs} == {second}


async def test_user_call(line: Caller) -> None:
    """Outside, to a user who diverts, with another number, and with a facility that opens a microphone."""
    line.sim.change_user(BERT, forwards=(Forward("cfu", h323="carla/x"),))
    handle, carla = await line.monitor(ANNA), await line.monitor(CARLA)
    assert await line.call(handle, number="0123") > 0
    assert [await line.call(handle, name="Nobody"), await line.call(handle)] == [0, 0]
    await line.told(handle, lambda leg: leg.state == 5)
    assert [leg.msg for leg in line.legs] == ["x-setup", "r-call-proc", "r-alert", "r-conn"]

    await line.call(handle, name=BERT, shown="r")
    ringing = await line.told(carla, lambda leg: leg.state == 132)
    assert (party(ringing, "leg2").cn, party(ringing, "peer").e164) == (BERT, None)
    line.legs.clear()
    await line.call(handle, number="23", rc=3, shown="0999")
    assert party(await line.told(carla, lambda leg: leg.state == 133), "peer").e164 == "0999"


async def test_user_clear(line: Caller) -> None:
    """Cause 26 ends the leg at once, another one leaves it with a tone until the phone is on the hook."""
    handle = await line.monitor(ANNA)
    await line.ask("UserClear", await line.call(handle, number="0123"), 26, [])
    gone = await line.told(handle, lambda leg: not leg.active)
    assert (gone.msg, info(gone, "cause").vali) == ("del", 26)
    line.legs.clear()
    await line.ask("UserClear", await line.call(handle, number="0123"), 17, [])
    await line.told(handle, lambda leg: not leg.active)

    assert [(leg.state, leg.msg) for leg in line.legs][-3:] == [(6, "r-disc"), (7, "x-rel"), (7, "del")]


async def test_user_connect(line: Caller) -> None:
    """The phone answers."""
    handle = await line.monitor(ANNA)
    line.sim.ring(ANNA, "0123")
    ringing = await line.told(handle, lambda leg: leg.state == 132)
    await line.ask("UserConnect", ringing.call)

    assert (await line.told(handle, lambda leg: leg.state == 133)).msg == "x-conn"


async def test_user_rc(line: Caller) -> None:
    """Few facilities change the call: accept, hold, retrieve, conference."""
    handle = await line.monitor(ANNA)
    line.sim.ring(ANNA, "0123")
    leg = (await line.told(handle, lambda leg: leg.state == 132)).call
    for code, state in ((5, 133), (37, 389), (38, 133), (37, 389), (10, 133), (8, 133)):
        await line.ask("UserRc", leg, code)
        assert line.leg(ANNA).word == state

    assert line.leg(ANNA).phone[-1] == ("rc", "8")


async def test_user_info(line: Caller) -> None:
    """Digits complete a number that is being dialled; keys and texts reach either side."""
    handle = await line.monitor(ANNA)
    call = SimCall(line.sim.exchange)
    leg = call.dial(line.sim.exchange.users[ANNA], No("peer", e164="01")).number
    await line.ask("UserInfo", leg, recv=False, cdpn="23", key="", dsp="")
    assert party(await line.told(handle, lambda leg: leg.msg == "update"), "peer").e164 == "0123"
    call.answer()
    await line.ask("UserInfo", leg, recv=False, cdpn="", key="5", dsp="hello")
    await line.ask("UserInfo", leg, recv=True, cdpn="", key="", dsp="you")

    assert line.the_call().outside == [("cdpn", "23"), ("key", "5"), ("dsp", "hello")]
    assert line.leg(ANNA).phone == [("dsp", "you")]


async def test_user_dtmf(line: Caller) -> None:
    """The other side hears it, or the own phone; outside nobody is told."""
    anna, bert = await line.monitor(ANNA), await line.monitor(BERT)
    leg = await line.call(anna, name=BERT)
    await line.told(bert, lambda leg: leg.state == 132)
    line.the_call().answer()
    await line.ask("UserDTMF", leg, recv=False, dtmf="12#")
    heard = await line.told(bert, lambda leg: info(leg, "dtmf"))
    assert (heard.msg, info(heard, "dtmf").vals) == ("r-dtmf", "12#")
    await line.ask("UserDTMF", leg, recv=True, dtmf="9")
    assert info(await line.told(anna, lambda leg: info(leg, "dtmf")), "dtmf").vals == "9"
    await line.ask("UserClear", leg, 26, [])

    outside = await line.call(anna, number="0123")
    await line.ask("UserDTMF", outside, recv=False, dtmf="77")
    assert line.the_call().outside == [("dtmf", "77")]


async def test_user_uui(line: Caller) -> None:
    """Newer firmware encodes it."""
    handle = await line.monitor(ANNA)
    leg = await line.call(handle, number="0123")
    await line.ask("UserUUI", leg, recv=False, uui="out & about")
    await line.ask("UserUUI", leg, recv=True, uui="50 % more")
    heard = await line.told(handle, lambda leg: info(leg, "uui"))

    assert (info(heard, "uui").vals, line.the_call().outside) == ("50%20%25%20more", [("uui", "out & about")])


async def test_user_pickup(line: Caller) -> None:
    """By user, by leg, by group, or whatever there is; 0 when there is nothing."""
    line.sim.change_user(BERT, groups=(("all", False), ("sales", True)))
    anna, bert = await line.monitor(ANNA), await line.monitor(BERT)
    ways: list[tuple[str, bool, str]] = [
        (ANNA, False, ""),
        ("", True, ""),
        ("", False, "sales"),
        ("", False, ""),
    ]
    for cn, by_leg, group in ways:
        line.legs.clear()
        line.sim.ring(ANNA, "0123")
        ringing = await line.told(anna, lambda leg: leg.state == 132)
        new = await line.ask("UserPickup", bert, cn, ringing.call if by_leg else 0, group, 0, [])
        picked = await line.told(bert, lambda leg: leg.state == 133)
        assert picked.call == new
        assert (party(picked, "picking") is not None, party(picked, "ct").cn) == (True, ANNA)
        gone = await line.told(anna, lambda leg: not leg.active)
        assert info(gone, "cause").vali == 26
        await line.ask("UserClear", new, 26, [])

    assert await line.ask("UserPickup", bert, "", 0, "", 0, []) == 0


async def test_user_redirect(line: Caller) -> None:
    """Diversions of the target count, unless facility 999 says otherwise; only incoming calls can go."""
    line.sim.change_user(BERT, forwards=(Forward("cfu", "23"),))
    anna, bert, carla = [await line.monitor(cn) for cn in (ANNA, BERT, CARLA)]
    for rc, target in ((0, carla), (999, bert)):
        line.legs.clear()
        line.sim.ring(ANNA, "0123")
        ringing = await line.told(anna, lambda leg: leg.state == 132)
        assert await line.ask("UserRedirect", ringing.call, BERT, "", "", [], rc) is True
        diverted = await line.told(target, lambda leg: leg.state == 132)
        assert party(diverted, "leg2orig").cn == ANNA
    own = await line.call(anna, number="0123")

    assert await line.ask("UserRedirect", own, BERT, "", "", [], 0) is False
    assert await line.ask("UserRedirect", line.leg(BERT).number, "", "", "nobody", [], 0) is False


async def test_user_reroute(line: Caller) -> None:
    """As the diversions of the target say, outside too."""
    line.sim.change_user(BERT, forwards=(Forward("cfu", "0171"),))
    anna = await line.monitor(ANNA)
    call = line.sim.ring(ANNA, "0123")
    ringing = await line.told(anna, lambda leg: leg.state == 132)

    assert await line.ask("UserReroute", ringing.call, "", "", "bert", []) is True
    assert (await line.told(anna, lambda leg: not leg.active)).msg == "del"
    assert call.legs == []


async def test_user_transfer(line: Caller) -> None:
    """The user leaves, the others are joined."""
    anna, bert = await line.monitor(ANNA), await line.monitor(BERT)
    line.sim.ring(BERT, "0555").answer()
    first, second = await line.call(anna, number="22"), await line.call(anna, number="0123")
    await line.told(anna, lambda leg: leg.call == second and leg.state == 5)
    await line.ask("UserTransfer", first, second)
    moved = await line.told(bert, lambda leg: leg.msg == "r-ct")

    assert (party(moved, "peer").e164, party(moved, "ct").cn) == ("0123", ANNA)
    assert {leg.guid for leg in line.sim.exchange.legs.values()} == {line.sim.exchange.users[BERT].id}


async def test_user_media_transfer(line: Caller) -> None:
    """Both legs must exist; both sides false restores. No record tells of it."""
    anna = await line.monitor(ANNA)
    first, second = await line.call(anna, number="0123"), await line.call(anna, number="0124")
    await line.ask("UserMediaTransfer", first, second, user=True, peer=True)
    await line.ask("UserMediaTransfer", first, second, user=False, peer=False)

    assert line.sim.exchange.legs[first].phone == [("media", "user peer"), ("media", "")]
    assert line.sim.exchange.legs[second].phone == line.sim.exchange.legs[first].phone


async def test_user_ct_complete(line: Caller) -> None:
    """The phone, and the record, show another party."""
    anna = await line.monitor(ANNA)
    await line.ask("UserCtComplete", await line.call(anna, number="0123"), "0800", "acme")
    shown = await line.told(anna, lambda leg: leg.msg == "r-ct")

    assert (party(shown, "peer").e164, party(shown, "peer").h323) == ("0800", "acme")


async def test_user_hold(line: Caller) -> None:
    """The far end is told that it is held."""
    anna, bert = await line.monitor(ANNA), await line.monitor(BERT)
    call = line.sim.dial(BERT, "21")
    call.answer()
    leg = await line.told(anna, lambda leg: leg.state == 133)
    await line.ask("UserHold", leg.call, remote=True)

    assert (await line.told(anna, lambda leg: leg.state == 389)).msg == "update"
    assert (await line.told(bert, lambda leg: leg.state == 517)).msg == "r-held"


async def test_user_retrieve(line: Caller) -> None:
    """And that it is not held any more."""
    bert = await line.monitor(BERT)
    call = line.sim.dial(BERT, "21")
    call.answer()
    call.hold(ANNA)
    await line.ask("UserRetrieve", line.leg(ANNA).number)

    assert (await line.told(bert, lambda leg: leg.msg == "r-retrieved")).state == 5


async def test_user_park(line: Caller) -> None:
    """The leg ends, a parked one waits; a place is taken once."""
    anna, bert = await line.monitor(ANNA), await line.monitor(BERT)
    parked = []
    for position in (3, 3, -1):
        line.legs.clear()
        line.sim.ring(ANNA, "0123").answer()
        leg = await line.told(anna, lambda leg: leg.state == 133)
        parked.append(await line.ask("UserPark", leg.call, BERT, position))
    assert (parked[0] > 0, parked[1], parked[2] > 0) == (True, 0, True)
    waiting = await line.told(bert, lambda leg: leg.call == parked[2])
    left = await line.told(anna, lambda leg: party(leg, "parked-to"))

    assert (waiting.state & 0xF, left.msg, party(left, "parked-to").cn) == (8, "r-rel", BERT)
    assert await line.ask("UserPickup", anna, "", parked[0], "", 0, []) > 0


async def test_user_message(line: Caller) -> None:
    """Delivered, not delivered because the phone is off, or refused."""
    anna = await line.monitor(ANNA)
    line.sim.change_user(CARLA, registered=False)
    sent = await line.ask("UserMessage", anna, "22", "", "Lunch & more?", "", "")
    lost = await line.ask("UserMessage", anna, "", "carla/x", "Lunch?", "0800", "")

    assert (await line.told(anna, lambda leg: leg.call == sent)).msg == "msg-sent"
    failed = await line.told(anna, lambda leg: leg.call == lost)
    assert (failed.msg, failed.active, info(failed, "cause").vali) == ("r-rel", False, 20)
    assert await line.ask("UserMessage", anna, "", "nobody", "Lunch?", "", "") == 0
    assert line.sim.exchange.messages == [(BERT, "anna", "Lunch & more?")]


async def test_user_local_num(line: Caller) -> None:
    """Inside as it is, outside with the prefix."""
    anna = await line.monitor(ANNA)

    assert [await line.ask("UserLocalNum", anna, num) for num in ("22", "0711123")] == ["22", "00711123"]


async def test_user_find_destination(caller: Caller) -> None:
    """Found, incomplete, or neither; without a session."""
    found = await caller.ask("UserFindDestination", 0, "22", "")
    part = await caller.ask("UserFindDestination", 0, "2", "")
    none = await caller.ask("UserFindDestination", 0, "", "nobody")

    assert (found["return"], found["user"].cn) == (False, BERT)
    assert (part["return"], none["return"]) == (True, False)
    assert [getattr(one["user"], "cn", None) for one in (part, none)] == [None, None]


async def test_find_user(caller: Caller) -> None:
    """A place in the sorted list: pages, the next one for a wrong name, the first one behind the end."""
    pages: list[list[str]] = []
    last, more = "", 0
    while not pages or pages[-1]:
        found = listed(await caller.ask("FindUser", *TEXT_FLAGS, last, "", "", 4, more, nohide=False))
        pages.append([user.cn for user in found])
        last, more = (found[-1].cn if found else ""), 1
    wrong = [
        listed(await caller.ask("FindUser", *TEXT_FLAGS, *key, 1, 0, nohide=True))[0].cn
        for key in (("Bertha", "", ""), ("", "emilia", ""), ("Zoe", "", ""))
    ]

    assert [len(page) for page in pages] == [4, 4, 1, 0]
    assert [cn for page in pages for cn in page] == sorted((user.cn for user in TEAM), key=str.casefold)
    assert wrong == [CARLA, "Far", ANNA]


async def test_user_license(caller: Caller) -> None:
    """Whether a user has one."""
    dora = caller.sim.exchange.users["Dora"].guid

    assert await caller.ask("UserLicense", dora, "App(platform)") is True
    assert await caller.ask("UserLicense", dora, "Video") is False


async def test_set_presence(caller: Caller) -> None:
    """By guid, or by short name with a star; each contact has its own."""
    anna = caller.sim.exchange.users[ANNA].guid
    away, busy = ({"status": "open", "activity": one, "note": one.title()} for one in ("away", "busy"))

    assert await caller.ask("SetPresence", away, im=False, contact="tel:", guid=anna, h323="") == 1
    assert await caller.ask("SetPresence", busy, im=True, contact="im:", guid="*", h323="anna") == 1
    assert await caller.ask("SetPresence", busy, im=False, contact="tel:", guid="*", h323="nobody") == 0
    entries = caller.sim.exchange.users[ANNA].presence
    assert [(one.contact, one.activity) for one in entries] == [("im:", "busy"), ("tel:", "away")]


async def test_location_url(caller: Caller) -> None:
    """Of this PBX and of those beside it; with HTTPS when asked for."""
    branch = replace(QUICK, path="/PBX0-branch/user.soap", profile=Profile(location="branch"))
    async with SimPbx(TEAM, branch, beside=caller.sim) as other:
        found = [
            await caller.ask("LocationUrl", *TEXT_FLAGS, location, tls=tls)
            for location, tls in (("branch", False), ("branch", True), ("sim", False), ("moon", False))
        ]

        assert found == [other.soap_url, other.soap_url.replace("http:", "https:"), caller.sim.soap_url, None]


async def test_a_walk_like_the_vendors_sample(caller: Caller) -> None:
    """Pages of users, devices, a session, a call to its end, presence, a document, the end."""
    found: list[Any] = []
    page: list[Any] = []
    while not found or len(page) == 4:
        last = found[-1].cn if found else ""
        page = listed(
            await caller.ask("FindUser", *TEXT_FLAGS, last, "", "", 4, int(bool(found)), nohide=True)
        )
        found += page
    await caller.open()
    assert sorted(user.cn for user in found) == [user.cn for user in caller.users if user.cn]
    phones = [user.cn for user in found if user.type == "ep"]
    assert all([listed(await caller.ask("Devices", caller.session, cn)) for cn in phones])

    handle = await caller.monitor(ANNA)
    leg = await caller.call(handle, number="0123")
    await caller.told(handle, lambda leg: leg.state == 5)
    await caller.ask("UserClear", leg, 26, [])
    await caller.told(handle, lambda leg: leg.msg == "del")
    assert [(one.state, one.msg) for one in caller.legs][:4] == [
        (1, "x-setup"),
        (3, "r-call-proc"),
        (4, "r-alert"),
        (5, "r-conn"),
    ]
    presence = {"activity": "away", "note": "", "status": "open"}
    assert await caller.ask("SetPresence", presence, im=False, contact="tel:", guid="*", h323="anna") == 1
    shown = await caller.ask("Admin", f"<show><user cn={quoteattr(ANNA)}/></show>")
    assert etree.fromstring(shown).find("user/presence") is not None
    await caller.ask("UserEnd", handle)
    await caller.ask("End", caller.session)
    assert len(caller.sim.sessions) == 0
