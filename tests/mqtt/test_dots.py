"""Dots in topics: brokers that turn them into slashes are recognised, and can be served."""

import pytest
import structlog

from bridge.config.schema import Config
from bridge.core import topics
from bridge.link.dots import DOT_ASKS
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually
from tests.kit.habits import Habits
from tests.kit.peer import Peer
from tests.running import FAST, STAFF, bridge, configuration, pbx_section

DOTTED = SimUser("First Last", "first.last", "31", groups=(("all", False),))
STATE, USER = "innovaphone/hq/state", "innovaphone/hq/user"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("slashes", [True, False])
async def test_a_broker_that_turns_dots_into_slashes(pbx: SimPbx, protocol: str, *, slashes: bool) -> None:
    """One warning with the way out, over several sessions; none where the dot stays."""
    async with Peer(Habits(dots_become_slashes=slashes)) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = protocol
        with structlog.testing.capture_logs() as log:
            async with bridge(settings):
                for session in (1, 2):
                    await eventually(lambda: peer.payloads(STATE)[-1:] == [b"online"], "it is online")
                    await eventually(
                        lambda: any("dot.check" in each for each in peer.unsubscribed), "the dot came back"
                    )
                    peer.unsubscribed.clear()
                    if session == 1:
                        peer.break_packet()
        said = [each["hint"] for each in log if each["event"] == "broker is limited"]
    assert said == (["set mqtt.encode_dots: true"] if slashes else [])


async def test_a_broker_that_closes_at_the_dot(pbx: SimPbx) -> None:
    """A right that is missing there is not worth a session: after two it is not asked any more."""
    dotted = "innovaphone/hq/dot.check"
    async with Peer(Habits(closes_at=frozenset({dotted}))) as peer:
        settings = configuration(peer.port, pbx_section(pbx))
        settings["mqtt"]["protocol"] = "3.1.1"
        async with bridge(settings):
            await eventually(lambda: peer.payloads(STATE)[-1:] == [b"online"], "it is online", 30.0)
    assert peer.poisoned == [dotted] * DOT_ASKS


@pytest.mark.broker
@pytest.mark.parametrize("encoded", [True, False])
async def test_users_with_dots(broker: Mosquitto, bus: Observer, *, encoded: bool) -> None:
    """Their topics have no dot; commands take the topic's form and the plain name; a change moves them."""
    async with SimPbx((*STAFF, DOTTED), FAST) as pbx:
        settings = configuration(broker.port, pbx_section(pbx))
        for encode_dots in (not encoded, encoded):
            settings["mqtt"]["encode_dots"] = encode_dots
            async with bridge(settings):
                await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "settled")
                await eventually(lambda: bus.now(STATE) == "online", "it is online")
                plain, percent = f"{USER}/first.last/state", f"{USER}/first%2Elast/state"
                await moved(bus, *((percent, plain) if encode_dots else (plain, percent)))
                for name in ("first.last", "first%2Elast")[: 1 + encode_dots]:
                    await called(bus, f"{name} {encode_dots}", name)


async def moved(bus: Observer, there: str, gone: str) -> None:
    """Wait until the user is on the one topic and not on the other."""
    await eventually(lambda: (bus.now(there) or {}).get("name") == "First Last", "it is there")
    await eventually(lambda: gone not in bus.tree, "the other form is cleared")


async def called(bus: Observer, request_id: str, user: str) -> None:
    """Place a call for a user."""
    bus.publish("innovaphone/hq/command/call", {"id": request_id, "user": user, "number": "1"})
    await eventually(lambda: [each for each in bus.replies("call") if each["id"] == request_id], "a reply")
    assert bus.replies("call")[-1]["status"] == "ok"


@pytest.mark.parametrize("name", ["first.last", "a.b.c", ".", "..", "no", "ü.ö/x", "%2E.", "a%2Eb"])
def test_encoding_is_reversible(name: str) -> None:
    """With and without dots, and the two forms agree where there is no dot."""
    for dots in (True, False):
        level = topics.encode(name, dots=dots)
        assert topics.decode(level) == name
        assert not set("/+#") & set(level)
        assert not (dots and "." in level)
    assert "." in name or topics.encode(name) == topics.encode(name, dots=True)


def test_a_base_topic_with_a_dot() -> None:
    """It would be cut in pieces just as well."""
    settings = configuration(
        1, {"name": "hq", "url": "http://h", "username": "u", "password": "p", "session_user": "s"}
    )
    settings["mqtt"] |= {"base_topic": "home.pbx", "encode_dots": True}
    with pytest.raises(ValueError, match="must not contain a dot"):
        Config.model_validate(settings)
