"""What must be true of the bus when all is quiet: held against the PBX, the state and the events told."""

from collections import Counter
from typing import Any

from tests.fuzz.broker import Broker, Consumer
from tests.fuzz.exchange import Exchange
from tests.fuzz.people import Leg, Person, View, call_state, level
from tests.fuzz.run import TOPICS, Run, decoded


def check(run: Run, broker: Broker, consumer: Consumer, exchange: Exchange, view: View) -> None:
    """All of it."""
    tree = {topic: decoded(payload) for topic, payload in broker.retained.items()}
    rendered = run.rendered()
    if view.sales_only:
        tree[TOPICS.info]["monitored"] = rendered[TOPICS.info]["monitored"]
    assert tree == rendered
    users = broker.users(TOPICS.root)
    _check_users(users, consumer, exchange, view)
    _check_online(tree, users, exchange, view)
    _check_events(consumer, users)
    made = {**consumer.made, run.epoch: run.mirror.state.seq}
    assert {epoch: consumer.seqs[epoch] for epoch in made} == made


def _check_users(users: dict[str, Any], consumer: Consumer, exchange: Exchange, view: View) -> None:
    shown = [person for person in exchange.people.values() if view.shows(person)]
    wanted = Counter(view.wanted(person) for person in shown)
    topics = {
        view.wanted(person) if wanted[view.wanted(person)] == 1 else level(person.guid): person
        for person in shown
    }
    assert users.keys() == topics.keys()
    for topic, person in topics.items():
        legs = exchange.legs_of(person.guid) if view.monitors(person) else []
        _check_user(users[topic], person, legs)
        _check_beginnings(users[topic], legs, consumer)


def _check_user(payload: Any, person: Person, legs: list[Leg]) -> None:
    told = payload["guid"], payload["name"], payload["number"], payload["type"]
    assert told == (person.guid, person.name, person.number, person.kind)
    assert {group["name"] for group in payload["groups"]} == person.groups
    calls = {call["conference"]: call for call in payload["calls"]}
    assert len(payload["calls"]) == len(legs)
    assert calls.keys() == {leg.conference for leg in legs}
    assert payload["call_state"] == call_state(legs)
    for leg in legs:
        _check_call(calls[leg.conference], leg)


def _check_beginnings(payload: Any, legs: list[Leg], consumer: Consumer) -> None:
    """A leg that began while nobody listened is told with the reason."""
    ids = {call["conference"]: call["id"] for call in payload["calls"]}
    for leg in legs:
        if leg.unheard and ids[leg.conference] not in consumer.excused:
            assert ids[leg.conference] in consumer.late


def _check_call(call: Any, leg: Leg) -> None:
    told = call["state"], call["direction"], call["held"], call["held_by_remote"]
    direction = "inbound" if leg.inbound else "outbound"
    assert told == (leg.state.value, direction, leg.held, leg.held_by_remote)
    assert call["remote"]["number"] == leg.remote.number
    if leg.told is not None:
        assert (call["id"], call["command_id"]) == (leg.told, leg.command_id)
    assert call["command_id"] in {None, leg.command}
    leg.told, leg.command_id = call["id"], call["command_id"]


def _check_online(tree: dict[str, Any], users: dict[str, Any], exchange: Exchange, view: View) -> None:
    info = tree[TOPICS.info]
    monitored = [person for person in exchange.people.values() if view.monitors(person)]
    calls = sum(len(payload["calls"]) for payload in users.values())
    assert (tree[TOPICS.state], info["link"], info["settled"]) == ("online", "online", True)
    assert (info["users"], info["monitored"], info["calls"]) == (len(users), len(monitored), calls)


def _check_events(consumer: Consumer, users: dict[str, Any]) -> None:
    running = {call["id"] for payload in users.values() for call in payload["calls"]}
    for call_id in consumer.calls.keys() - consumer.excused:
        assert consumer.terminals(call_id) == (call_id not in running), call_id
    for call_id in running - consumer.excused:
        assert call_id in consumer.calls, f"{call_id} runs and was never told of"
