"""Where calls of the simulated PBX go: diversions one after the other, in circles, groups, queues."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bridge.sim.model import WAITING, Forward, SimUser
from bridge.sim.pbx import SimPbx
from bridge.sim.routes import route
from tests.bus import eventually
from tests.running import FAST, STAFF

ANNA, BERT, CARLA = "Anna Müller", "Bert O'Neil", "Carla & Co"
QUICK = replace(FAST, profile=replace(FAST.profile, no_answer_s=0.02))


@pytest.fixture
async def sim() -> AsyncIterator[SimPbx]:
    """A PBX with a group and a queue."""
    group = SimUser("Team", "team", "40", type="broadcast")
    queue = SimUser("Queue", "queue", "50", type="waiting")
    members = [SimUser(cn, groups=(("Team", active),)) for cn, active in (("In", True), ("Out", False))]
    async with SimPbx((*STAFF, group, queue, *members), QUICK) as running:
        yield running


def ringing(sim: SimPbx) -> set[str]:
    """The names of those whose phones ring."""
    users = [sim.exchange.by_guid(leg.guid) for leg in sim.exchange.legs.values()]
    return {user.cn for user in users if user}


def test_diversions_follow_each_other(sim: SimPbx) -> None:
    """To a short name, a number, and outside; from a template too."""
    sim.change_user(ANNA, forwards=(Forward("cfu", h323="bert"),))
    sim.change_user(BERT, inherited=(Forward("cfu", "23"),))
    way = route(sim.exchange, "21")
    assert (way.user, [one.cn for one in way.through]) == (sim.exchange.users[CARLA], [ANNA, BERT])
    assert [(one.type, one.cn) for one in way.diverting] == [("leg2", BERT), ("leg2orig", ANNA)]

    sim.change_user(CARLA, forwards=(Forward("cfu", "0171"),))
    assert (route(sim.exchange, "21").user, route(sim.exchange, "21").number) == (None, "0171")
    assert route(sim.exchange, "21", obey=False).user == sim.exchange.users[ANNA]


def test_a_circle_ends(sim: SimPbx) -> None:
    """Somewhere."""
    sim.change_user(ANNA, forwards=(Forward("cfu", h323="bert"),))
    sim.change_user(BERT, forwards=(Forward("cfu", h323="anna"),))

    assert len(route(sim.exchange, "21").through) == 5


def test_one_who_is_busy_diverts(sim: SimPbx) -> None:
    """And only then."""
    sim.change_user(ANNA, forwards=(Forward("cfb", "22"),))
    sim.ring(ANNA, "0123")
    assert ringing(sim) == {ANNA}
    sim.ring(ANNA, "0124")

    assert ringing(sim) == {ANNA, BERT}


async def test_one_who_does_not_answer_diverts(sim: SimPbx) -> None:
    """Unless the call was answered, or its caller has given up."""
    sim.change_user(ANNA, forwards=(Forward("cfnr", "22"),))
    sim.ring(ANNA, "1")
    await eventually(lambda: ringing(sim) == {BERT}, "the call rings at Bert")
    sim.ring(ANNA, "2").answer()
    sim.ring(ANNA, "3").hang_up()
    sim.ring(ANNA, "4")
    anna = sim.exchange.users[ANNA].guid
    await eventually(lambda: sim.exchange.counts(anna)[0] == 1, "the last one rings elsewhere too")

    peers = {(leg.peer.e164, leg.guid == anna) for leg in sim.exchange.legs.values()}
    assert peers == {("1", False), ("2", True), ("4", False)}


def test_a_group_rings_at_its_active_members(sim: SimPbx) -> None:
    """One of them answers, the others stop."""
    call = sim.ring("Team", "0123")
    assert ringing(sim) == {"Team", "In"}
    call.answer("In")

    assert ringing(sim) == {"In"}


def test_a_call_waits_in_a_queue(sim: SimPbx) -> None:
    """With a bit of its own, until its caller leaves."""
    call = sim.ring("Queue", "0123")
    (leg,) = sim.exchange.legs.values()
    assert leg.bits & WAITING
    call.hang_up()

    assert sim.exchange.legs == {}
