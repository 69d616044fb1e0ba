"""`check --connect` in this process: what it says of PBXs and brokers of many kinds."""

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.check import Line, check, doubts
from bridge.config.schema import Config
from bridge.sim.faults import Fault
from bridge.sim.operations import Profile
from bridge.sim.pbx import SimPbx
from bridge.sim.system import SimSystem
from tests.bus import Mosquitto, free_port
from tests.running import FAST, PEOPLE, STAFF, configuration, pbx_section


async def said(port: int, pbx: SimPbx, **changes: object) -> list[Line]:
    """What the check says of a PBX and of its broker."""
    return await check(Config.model_validate(configuration(port, pbx_section(pbx, **changes))))


async def test_it_tells_firmware_users_and_rights(broker: Mosquitto, pbx: SimPbx) -> None:
    """And leaves no session behind."""
    (pbx_word, pbx_line), (broker_word, broker_line), (rights_word, _) = await said(broker.port, pbx)
    assert (pbx_word, broker_word, rights_word) == ("ok", "ok", "warn")  # the broker has no access list
    rights = "may monitor and control their calls"
    assert pbx_line == f"hq: PBX: firmware 14r2 simulated, 5 visible users, {rights}"
    assert broker_line.endswith("MQTT 5, may publish and hear commands")
    assert len(pbx.requests("End")) == 1


async def test_it_counts_users_beyond_the_limit_of_those_published(pbx: SimPbx) -> None:
    """The operator must see that the limit cuts."""
    line = (await said(free_port(), pbx, limits={"users": 1}))[0].text
    assert "5 visible users, may monitor" in line


async def test_it_tells_that_a_session_sees_only_itself(pbx: SimPbx) -> None:
    """A user that is active in no group: the usual mistake (docs/wire.md#session)."""
    word, line = (await said(free_port(), pbx, session_user="Bert O'Neil"))[0]
    assert word == "ok"
    assert line.endswith("sees no user but itself: make 'Bert O'Neil' an active member of a group")


async def test_it_tells_a_missing_right() -> None:
    """The PBX lists users and gives no handle of them; and there is no broker."""
    options = replace(FAST, profile=Profile(gives_control=False))
    async with SimPbx(STAFF, options) as pbx:
        (_, line), (broker_word, broker_line) = await said(free_port(), pbx)
    assert line.endswith("cannot monitor and control their calls: the PBX gives no right to it")
    assert broker_word == "FAIL"
    assert "cannot be reached" in broker_line


async def test_it_tells_who_may_not_read_forwards(pbx: SimPbx) -> None:
    """Only where they are wanted; an administrator may."""
    options = replace(FAST, profile=Profile(gives_admin=False))
    async with SimPbx(STAFF, options) as poor:
        words = [(await said(free_port(), poor, forwards=wanted))[0] for wanted in (False, True)]
    words += [(await said(free_port(), pbx, forwards=True))[0]]
    assert [line.word for line in words] == ["ok", "warn", "ok"]
    assert "cannot read forwards, which takes an administrator's account: the PBX does not" in words[1].text


@pytest.mark.parametrize("kind", ["fault", "http"])
async def test_one_user_who_is_refused_says_nothing_about_the_right(pbx: SimPbx, kind: str) -> None:
    """Others are asked for, too."""
    pbx.faults.add(Fault(kind, "UserInitialize", times=2))
    word, line = (await said(free_port(), pbx))[0]
    assert word == "ok"
    assert line.endswith("may monitor and control their calls")


async def test_it_tells_why_no_user_can_be_monitored(pbx: SimPbx) -> None:
    """A PBX that breaks at the request says nothing about a right."""
    pbx.faults.add(Fault("reset", "UserInitialize", times=20))
    _, line = (await said(free_port(), pbx))[0]
    assert "cannot monitor and control their calls: the connection to" in line


async def test_it_tells_why_a_pbx_is_of_no_use(pbx: SimPbx) -> None:
    """A wrong password, an unknown user, a page instead of SOAP."""
    port = free_port()
    assert "rejected the credentials" in (await said(port, pbx, password="wrong"))[0][1]
    assert "no session for 'Nobody'" in (await said(port, pbx, session_user="Nobody"))[0][1]
    pbx.faults.add(Fault("html", "Initialize"))
    word, line = (await said(port, pbx))[0]
    assert (word, "hq: PBX: " in line) == ("FAIL", True)


@pytest.mark.parametrize("poll", [None, "html"])
async def test_an_end_that_fails_is_not_the_result(pbx: SimPbx, poll: str | None) -> None:
    """The PBX ends the session by itself then; what went wrong before is what counts."""
    pbx.faults.add(Fault("http", "End", value=503))
    if poll:
        pbx.faults.add(Fault(poll, "Poll"))
    word, line = (await said(free_port(), pbx))[0]
    assert word == ("ok" if poll is None else "FAIL")
    assert ("is a web page" if poll else "may monitor and control their calls") in line


def test_it_tells_of_a_phonebook_without_names(pbx: SimPbx, tmp_path: Path) -> None:
    """Missing, or of a kind that is not read. The bridge would start all the same."""
    file = tmp_path / "names.csv"
    settings = configuration(1883, pbx_section(pbx))
    config = Config.model_validate({**settings, "phonebook": {"file": file}})
    start = f"phonebook.file: {file}: "

    assert list(doubts(Config.model_validate(settings))) == []
    missing = "No such file or directory: there are no names until it can be read"
    assert list(doubts(config)) == [start + missing]
    file.write_bytes(b"PK\x03\x04\xff\xff")
    assert list(doubts(config)) == [f"{start}not one of its 1 entries can be used; line 1: not UTF-8"]
    file.write_text("0711 123456,ACME\n")
    assert list(doubts(config)) == []


async def test_it_finds_locations_and_checks_each(broker: Mosquitto) -> None:
    """With the rights on their topics; a location that would be left out is told."""
    async with SimSystem(PEOPLE, FAST) as system:
        system.master.addresses["Wien"] = "http://198.51.100.1/PBX0/user.soap"
        section = pbx_section(system.master, locations={"hosts": ["127.0.0.1:*"]})
        lines = await check(Config.model_validate(configuration(broker.port, section)))
    texts = [line.text for line in lines]
    start = "firmware 14r2 simulated, {} visible users, may monitor and control their calls"
    assert [text for text in texts if ": PBX: " in text] == [
        f"hq: PBX: {start.format(2)}",
        f"hq-berlin: PBX: {start.format(1)}",
    ]
    assert sum("MQTT 5, may publish" in text for text in texts) == 2
    why = "locations.hosts does not allow 198.51.100.1"
    assert lines[-1] == Line("warn", f"hq: location Wien: left out: {why}")


@pytest.mark.parametrize("empty_is_master", [False, True])
@pytest.mark.parametrize("empty", ["own", "master"])
async def test_it_tells_whose_location_is_empty(*, empty_is_master: bool, empty: str) -> None:
    """Where the configuration says otherwise, users would appear twice or not at all."""
    async with SimSystem(PEOPLE, FAST, empty_is_master=empty_is_master) as system:
        section = pbx_section(system.master, locations={"hosts": ["127.0.0.1:*"], "empty": empty})
        lines = await check(Config.model_validate(configuration(free_port(), section)))
    advice = f"set locations.empty: {'master' if empty_is_master else 'own'}"
    told = {line.text.split(":")[0] for line in lines if line.text.endswith(advice)}
    assert told == (set() if empty_is_master == (empty == "master") else {"hq-berlin", "hq-wien"})


async def test_it_tries_every_address(broker: Mosquitto, pbx: SimPbx) -> None:
    """A standby that is away is a warning: it is not needed now."""
    away = f"http://127.0.0.1:{free_port()}/PBX0/user.soap"
    section = pbx_section(pbx, url=None, urls=[pbx.soap_url, pbx.soap_url, away])
    urls = [f"mqtt://127.0.0.1:{port}" for port in (broker.port, free_port())]
    lines = await check(Config.model_validate({"mqtt": {"urls": urls}, "pbxs": [section]}))
    words = [(line.word, line.text.split(": ")[1]) for line in lines]

    assert words[:3] == [("ok", "PBX"), ("ok", "standby PBX 1"), ("warn", "standby PBX 2")]
    assert "fail" not in {word.lower() for word, _ in words}
    assert lines[-1].word == "warn"
    assert "cannot be reached" in lines[-1].text
