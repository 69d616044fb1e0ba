"""Admin of the simulated PBX: what it reads, what it changes, and its traps (docs/wire.md#admin)."""

from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

import pytest
from lxml import etree

from bridge.sim.auth import Account
from bridge.sim.desk import Profile
from bridge.sim.model import Forward, SimUser
from bridge.sim.pbx import SimOptions, SimPbx
from tests.kit.http_client import HttpClient
from tests.running import STAFF

OPEN = SimOptions(account=Account("", "", "none"))
BERT = quoteattr("Bert O'Neil")
TO_ANNA = '<cd type="cfu"><ep h323="anna"/></cd>'
TO_DOOR = '<cd type="cfnr"><ep e164="0171"/></cd>'


async def ask(sim: SimPbx, document: str) -> str:
    """The answer to one document."""
    body = f"<Admin><xml>{escape(document)}</xml></Admin>"
    async with HttpClient() as client:
        answer = await client.post(
            sim.soap_url,
            f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{body}</e:Body></e:Envelope>',
        )
    return str(etree.fromstring(answer.content).findtext(".//return"))


async def user(sim: SimPbx, config: str = "") -> etree._Element:
    """What Admin shows of Bert."""
    shown = etree.fromstring(await ask(sim, f"<show><user cn={BERT}{config}/></show>"))
    found = shown.find("user")
    assert found is not None
    return found


def diversions(element: etree._Element) -> list[tuple[str | None, dict[str, str | None]]]:
    """The diversions in what Admin shows."""
    return [
        (one.get("type"), {name: end.get(name) for name in ("e164", "h323") if name in end.attrib})
        for one in element.findall("cd")
        for end in one.findall("ep")
    ]


async def test_a_diversion_is_added_twice_and_removed_once() -> None:
    """Nobody looks for duplicates; removing what is not there is no error; each change is told as `cfg`."""
    async with SimPbx(STAFF, OPEN) as sim:
        session = sim.sessions.open(sim.exchange.users["API"], 1)
        await session.poll()
        for document in (TO_ANNA, TO_ANNA, TO_DOOR):
            added = await ask(sim, f"<add-attrib><user cn={BERT}>{document}</user></add-attrib>")
            assert added.strip() == "<ok/>"
        told = (await session.poll())[0]
        assert [(news.user.cn, news.cfg) for news in told] == [("Bert O'Neil", True)] * 3
        assert diversions(await user(sim)) == [("cfu", {"h323": "anna"})] * 2 + [("cfnr", {"e164": "0171"})]

        for _ in range(3):
            removed = await ask(sim, f"<del-attrib><user cn={BERT}>{TO_ANNA}</user></del-attrib>")
            assert removed.strip() == "<ok/>"
        assert diversions(await user(sim)) == [("cfnr", {"e164": "0171"})]


async def test_templates_are_shown_unless_the_configuration_is_asked_for() -> None:
    """The value of `config` means nothing; a diversion of a template cannot be removed."""
    staff = [replace(one, inherited=(Forward("cfb", "30"),)) for one in STAFF]
    async with SimPbx(staff, OPEN) as sim:
        own = '<cd type="cfb"><ep e164="30"/></cd>'
        await ask(sim, f"<del-attrib><user cn={BERT}>{own}</user></del-attrib>")
        assert diversions(await user(sim)) == [("cfb", {"e164": "30"})]
        for config in (' config="true"', ' config="false"'):
            assert diversions(await user(sim, config)) == []


async def test_a_user_is_written_back_renamed_and_made() -> None:
    """What `show` gave is what `modify` takes; the guid and the presence stay."""
    async with SimPbx(STAFF, OPEN) as sim:
        sim.set_presence("Bert O'Neil", "away", "O'Neil & Söhne")
        before = sim.exchange.users["Bert O'Neil"]
        shown = await user(sim, ' config="true"')
        presence = shown.find("presence")
        assert presence is not None
        assert [presence.get(name) for name in "can"] == ["tel:", "away", "O'Neil & Söhne"]
        assert shown.get("pwd") == "********"
        written = etree.tostring(shown, encoding="unicode")
        assert (await ask(sim, f"<modify>{written}</modify>")).strip() == "<ok/>"
        assert sim.exchange.users["Bert O'Neil"] == replace(before, devices=before.hardware)

        shown.set("cn", "Bert Söhne")
        renamed = etree.tostring(shown, encoding="unicode")
        assert (await ask(sim, f"<modify>{renamed}</modify>")).strip() == "<ok/>"
        assert sim.exchange.users["Bert Söhne"].guid == before.guid
        made = '<add><user cn="New" h323="new" type="ep"><grp name="all" mode="active"/></user></add>'
        assert (await ask(sim, made)).strip() == "<ok/>"
        assert sim.exchange.users["New"].groups == (("all", True),)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<show/>",
        "<show><user",
        "<fly><user/></fly>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><show>&b;</show>',
        '<modify><user cn="Nobody"/></modify>',
        '<modify><user guid="{guid}" cn="API"/></modify>',
        '<add><user cn="API"/></add>',
        '<add-attrib><user cn="Nobody"/></add-attrib>',
        '<del-attrib><user cn="Nobody"/></del-attrib>',
    ],
)
async def test_what_makes_no_sense_changes_nothing(document: str) -> None:
    """The answer is an error."""
    async with SimPbx(STAFF, OPEN) as sim:
        before = dict(sim.exchange.users)
        answer = await ask(sim, document.replace("{guid}", STAFF[1].guid))

        assert answer.startswith("<error>")
        assert sim.exchange.users == before


async def test_only_an_administrator_may() -> None:
    """And an unknown user is shown as nothing."""
    async with SimPbx(STAFF, replace(OPEN, profile=Profile(gives_admin=False))) as sim:
        assert (await ask(sim, "<show><user cn='API'/></show>")).startswith("<error>")
    async with SimPbx(STAFF, OPEN) as sim:
        assert await ask(sim, "<show><user cn='Nobody'/></show>") == "<show/>"


def test_a_phone_has_a_device() -> None:
    """The PBX lists at least one of each phone, and none of a group."""
    assert SimUser("Anna", "anna", dn="A").hardware == (("anna", "A"),)
    assert SimUser("Anna", "anna", devices=(("desk", ""),)).hardware == (("desk", ""),)
    assert SimUser("Sales", "sales", type="broadcast").hardware == ()
