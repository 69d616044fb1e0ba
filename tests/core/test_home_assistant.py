"""The discovery messages for Home Assistant: what it takes, what the bridge obeys, who may have what."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bridge.core.commands.dialling import DialRules
from bridge.core.commands.permissions import Form, Grant, Permissions, permits
from bridge.core.commands.request import Request, parse
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.message import Incoming, Json
from bridge.core.model import Changes, Instant, PbxState
from bridge.core.outputs.consumer import Finding
from bridge.core.outputs.home_assistant import entities, names, output, withdrawal
from bridge.core.outputs.home_assistant.devices import Discovery, Mode
from bridge.core.outputs.home_assistant.names import DiscoveryTopics
from bridge.core.outputs.output import View
from bridge.core.presentation import PLAIN
from bridge.core.records import Batch, UserRecord
from bridge.core.rules import Rule, Scope
from bridge.core.status import About, LinkState, Status
from bridge.core.topics import Topics
from bridge.core.value import evolve
from tests.core.builders import ANNA, BERT, PEOPLE, History, leg, user

TOPICS = Topics("innovaphone", "hq")
EVERYTHING = Permissions(frozenset(VERBS))
NOTHING = Permissions(frozenset())
ALL = (Rule(),)
PREFIX = DiscoveryTopics("homeassistant")
DEVICE = Discovery(Mode.DEVICE, PREFIX, ALL, EVERYTHING)
NIGHT = UserRecord("g-night", "Night", short_name="night", type="ep", is_switch=True)
COMMON = {
    "platform",
    "name",
    "unique_id",
    "default_entity_id",
    "qos",
    "icon",
    "entity_category",
    "availability",
}
ATTRIBUTES = {"json_attributes_topic", "json_attributes_template"}
READS = {"state_topic", "value_template"}
WRITES = {"command_topic", "command_template"}
TAKES: dict[str, set[str]] = {
    "event": {"state_topic", "event_types"},
    "sensor": READS | ATTRIBUTES | {"device_class", "options", "state_class"},
    "binary_sensor": READS | ATTRIBUTES | {"device_class", "payload_on", "payload_off"},
    "select": READS | WRITES | ATTRIBUTES | {"options"},
    "text": READS | WRITES | ATTRIBUTES | {"min", "max"},
    "button": {"command_topic", "payload_press"},
}
"""What the platforms of Home Assistant know, as far as the bridge uses it. It removes unknown options."""
OF_DEVICE = {"identifiers", "name", "manufacturer", "model", "via_device", "sw_version", "serial_number"}
DISCOVERY_TOPIC = re.compile(r"homeassistant/\w+/(?:[a-zA-Z0-9_-]+/)?[a-zA-Z0-9_-]+/config")


FIRMWARE = About("14r2", "00-90-33")


def view(state: PbxState, topics: Topics = TOPICS, about: About = FIRMWARE) -> View:
    """What can be published of this state."""
    status = Status(LinkState.ONLINE, "", 0, "")
    return View(
        topics=topics,
        version="1.2.3",
        state=state,
        status=status,
        about=about,
        calls=0,
        monitored=0,
        asking=False,
        takeovers=0,
        on_standby=False,
        now=Instant(1_795_000_000_000, 1.0),
        presentation=PLAIN,
    )


def people(*more: UserRecord) -> PbxState:
    """Anna, Bert, a trunk, and more."""
    return History().start(*PEOPLE, *more).state


def tree(discovery: Discovery, state: PbxState, topics: Topics = TOPICS) -> dict[str, Any]:
    """What is retained, by topic."""
    return {each.topic: each.payload for each in output(discovery).tree(view(state, topics))}


def device(discovery: Discovery, state: PbxState, guid: str) -> dict[str, Any]:
    """The device of a user."""
    found: dict[str, Any] = tree(discovery, state)[PREFIX.device(names.user_id(TOPICS, guid))]
    return found


def present(message: Mapping[str, Any]) -> set[str]:
    """The keys of the entities that Home Assistant will have: one without options is one to remove."""
    return {key for key, config in message["components"].items() if len(config) > 1}


def configs(messages: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of all entities of device messages."""
    for message in messages.values():
        yield from (each for each in message["components"].values() if len(each) > 1)


def test_a_message_for_each_device() -> None:
    """The PBX and its users, on topics and with keys that Home Assistant takes."""
    messages = tree(DEVICE, people(NIGHT))

    assert len(messages) == len(PEOPLE) + 2
    for topic, message in messages.items():
        assert DISCOVERY_TOPIC.fullmatch(topic)
        assert set(message) == {"device", "origin", "availability", "components"}
        assert set(message["device"]) <= OF_DEVICE
        assert message["origin"] == {"name": "innovaphone-mqtt", "sw_version": "1.2.3"}
        assert message["availability"] == [{"topic": TOPICS.state}]
        assert topic == PREFIX.device(message["device"]["identifiers"][0])
    via = {message["device"].get("via_device") for message in messages.values()}
    assert via == {None, "innovaphone__hq"}


def test_home_assistant_knows_every_option() -> None:
    """It drops what it does not know, without a word."""
    for config in configs(tree(DEVICE, people(NIGHT))):
        assert set(config) <= COMMON | TAKES[config["platform"]]
        assert config["default_entity_id"].startswith(f"{config['platform']}.hq_")


def test_every_entity_has_a_name_of_its_own() -> None:
    """Home Assistant refuses a second entity with the same id."""
    found = [config["unique_id"] for config in configs(tree(DEVICE, people(NIGHT)))]

    assert len(found) == len(set(found))


def test_every_command_is_one_that_the_bridge_takes() -> None:
    """What a button sends, and what somebody types."""
    sent = 0
    for config in configs(tree(DEVICE, people(NIGHT))):
        if topic := config.get("command_topic"):
            payload = config.get("payload_press", "0123")
            request = parse(Incoming(topic, payload.encode()), TOPICS, 0)
            assert isinstance(request, Request) or "command_template" in config
            sent += 1
    assert sent


@pytest.mark.parametrize(
    ("guid", "wanted"),
    [
        (
            ANNA,
            {
                "call",
                "call_state",
                "ringing",
                "in_call",
                "registered",
                "last_caller",
                "last_call_end",
                "missed",
                "presence",
                "note",
                "dial",
                "hang_up",
                *({"answer"} & VERBS.keys()),
            },
        ),
        (NIGHT.guid, {"call", "switch"}),
    ],
)
def test_a_user_has_the_entities_of_its_kind(guid: str, wanted: set[str]) -> None:
    """Others are told to go: an earlier run may have left them."""
    message = device(DEVICE, people(NIGHT), guid)

    assert present(message) == wanted
    assert message["components"].keys() == {each.key for each in entities.OF_USER}


def test_events_are_the_closed_list() -> None:
    """Home Assistant warns about any other one."""
    message = device(DEVICE, people(), ANNA)

    assert message["components"]["call"]["event_types"] == [
        *("incoming", "outgoing", "ringing", "answered", "held", "retrieved"),
        *("transferred", "updated", "missed", "ended", "switched"),
    ]


def commanded(permissions: Permissions, guid: str, state: PbxState) -> set[str]:
    """The verbs that a user's entities send."""
    message = device(replace(DEVICE, permissions=permissions), state, guid)
    topics = [each.get("command_topic", "") for each in message["components"].values()]
    return {topic.rpartition("/")[2] for topic in topics if topic}


@pytest.mark.parametrize(
    ("permissions", "anna", "bert"),
    [
        (NOTHING, set(), set()),
        (Permissions(frozenset(SETS["basic"])), {"call", "clear", "presence"}, {"call", "clear", "presence"}),
        (Permissions(frozenset({"clear"})), {"clear"}, {"clear"}),
        (
            Permissions(frozenset(), grants=(Grant(frozenset({"call"}), (Rule(short_name="anna"),)),)),
            {"call"},
            set(),
        ),
        (Permissions(frozenset(), grants=(Grant(frozenset({"call"}), form=Form.PBX),)), set(), set()),
        (
            Permissions(frozenset(), grants=(Grant(frozenset({"clear"}), form=Form.USER),)),
            {"clear"},
            {"clear"},
        ),
        (Permissions(frozenset({"call"}), DialRules(types=frozenset({"gw"}))), set(), set()),
    ],
)
def test_a_command_appears_only_where_it_is_permitted(
    permissions: Permissions, anna: set[str], bert: set[str]
) -> None:
    """For the user, and for the form of topic that Home Assistant uses."""
    state = people()

    assert commanded(permissions, ANNA, state) == anna
    assert commanded(permissions, BERT, state) == bert


def test_a_trunk_dials_nothing() -> None:
    """It is an outside line: `commands.types` says who may call."""
    assert "call" not in commanded(EVERYTHING, "g-gate", people())


@pytest.mark.parametrize("allowed", [True, False])
def test_resync_appears_only_where_it_is_permitted(*, allowed: bool) -> None:
    """It is a command to the PBX."""
    permissions = EVERYTHING if allowed else NOTHING
    message = tree(replace(DEVICE, permissions=permissions), people())[PREFIX.device(names.pbx_id(TOPICS))]

    assert ("resync" in present(message)) is allowed
    assert permits(permissions, "resync", {}, people()) is allowed


def test_nobody_appears_without_a_rule() -> None:
    """A company of thousands would fill somebody's home."""
    assert list(tree(replace(DEVICE, users=()), people())) == [PREFIX.device("innovaphone__hq")]
    some = tree(replace(DEVICE, users=(Rule(short_name="bert"),)), people())
    assert list(some) == [PREFIX.device("innovaphone__hq"), PREFIX.device("innovaphone__hq__g-bert")]


@pytest.mark.parametrize("guid", ["", "a", "_", "__", "a/b", "ü", "+", "#", "5f", "_5f", "A-1", "a b", "%2F"])
def test_ids_are_levels_and_reversible(guid: str) -> None:
    """No two users share a device, and Home Assistant takes each topic."""
    level = names.level(guid)
    back = re.sub(rb"_([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), level.encode()).decode()

    assert back == guid
    assert DISCOVERY_TOPIC.fullmatch(PREFIX.device(names.user_id(TOPICS, guid)))
    assert names.is_of_pbx(names.user_id(TOPICS, guid), TOPICS)


def test_pbxs_do_not_share_ids() -> None:
    """Nor do two base topics."""
    others = [Topics("innovaphone", "h"), Topics("innovaphone", "hq_2"), Topics("innovaphone/hq", "x")]
    mine = names.user_id(TOPICS, "g")

    assert not [each for each in others if names.is_of_pbx(mine, each)]
    assert not [each for each in others if names.is_of_pbx(names.user_id(each, "g"), TOPICS)]


def test_names_are_never_part_of_a_template() -> None:
    """Home Assistant runs templates: what a PBX says must not become one."""
    evil = "{{ states('lock.door') }}"
    state = people(UserRecord("g-evil", evil, display_name=evil, short_name=evil, type="ep"))
    message = device(DEVICE, state, "g-evil")

    for config in message["components"].values():
        for key, value in config.items():
            assert not (key.endswith("template") and "lock.door" in value)
    assert message["device"]["name"] == evil


def news(discovery: Discovery, before: PbxState, after: PbxState, changes: Changes) -> dict[str, Json | None]:
    """What is published because of a change."""
    found = list(output(discovery).news(view(before), view(after), changes))
    assert all(message.retain for message in found)
    payloads = {message.topic: message.payload for message in found}
    assert not [payload for payload in payloads.values() if isinstance(payload, str | bytes)]
    return {topic: payload for topic, payload in payloads.items() if not isinstance(payload, str | bytes)}


@pytest.mark.parametrize("mode", Mode)
def test_a_call_is_no_news(mode: Mode) -> None:
    """It changes the state of its user, many times."""
    history = History().start(*PEOPLE)
    before = history.state
    history.take(Batch(legs=(leg(),)))

    assert ANNA in history.changes.users
    assert news(replace(DEVICE, mode=mode), before, history.state, history.changes) == {}


def test_a_renamed_user_keeps_its_device() -> None:
    """Its topics are new, its id is not: Home Assistant keeps the history."""
    history = History().start(*PEOPLE)
    before = history.state
    history.take(Batch(users=(evolve(PEOPLE[0], short_name="anne", name="Anne Ex"),)))
    (topic, message), *others = news(DEVICE, before, history.state, history.changes).items()

    assert (topic, others) == (PREFIX.device("innovaphone__hq__g-anna"), [])
    assert message is not None
    assert message["device"]["name"] == "Anne Ex"  # type: ignore[index]  # JSON
    assert "user/anne/command/call" in json.dumps(message)


@pytest.mark.parametrize("mode", Mode)
def test_who_no_longer_matches_is_erased(mode: Mode) -> None:
    """The rules look at names, numbers and groups, which change."""
    discovery = replace(DEVICE, mode=mode, users=(Rule(number="21"),))
    history = History().start(*PEOPLE)
    before = history.state
    history.take(Batch(users=(evolve(PEOPLE[0], number="29"),)))
    erased = news(discovery, before, history.state, history.changes)
    had = {topic for topic in tree(discovery, before) if "g-anna" in topic}

    assert erased == dict.fromkeys(had)
    assert had


@pytest.mark.parametrize("mode", Mode)
def test_all_topics_of_a_user_are_known(mode: Mode) -> None:
    """They are erased when the user is gone."""
    discovery = replace(DEVICE, mode=mode)
    state = people(NIGHT)
    for guid, topic_id in state.topics.items():
        topics = set(output(discovery).topics_of_user(view(state), topic_id))
        assert {each for each in tree(discovery, state) if guid in each} <= topics
    assert not set(output(discovery).topics_of_user(view(state), "nobody"))


def test_an_entity_of_its_own_message() -> None:
    """Before 2024.11 Home Assistant knows no message of a device: each has all that it needs."""
    state = people()
    whole, single = tree(DEVICE, state), tree(replace(DEVICE, mode=Mode.COMPONENT), state)

    for topic, message in single.items():
        assert DISCOVERY_TOPIC.fullmatch(topic)
        _, platform, owner, key, _ = topic.split("/")
        of_device = whole[PREFIX.device(owner)]
        wanted = {name: value for name, value in of_device.items() if name != "components"}
        config = {**wanted, **of_device["components"][key], "object_id": message["object_id"]}
        assert config == {**message, "platform": platform}
    assert len(single) == sum(len(present(message)) for message in whole.values())


def test_an_entity_that_no_longer_fits_is_erased_alone() -> None:
    """A telephone becomes a Boolean object: unlikely, and no reason to leave anything behind."""
    discovery = replace(DEVICE, mode=Mode.COMPONENT)
    history = History().start(*PEOPLE)
    before = history.state
    history.take(Batch(users=(evolve(PEOPLE[0], is_switch=True),)))
    found = news(discovery, before, history.state, history.changes)

    assert found[PREFIX.entity("text", "innovaphone__hq__g-anna", "dial")] is None
    assert found[PREFIX.entity("binary_sensor", "innovaphone__hq__g-anna", "switch")] is not None


def test_the_pbx_is_told_again_when_its_firmware_is_known() -> None:
    """It is known only after the login."""
    state = people()
    changed = list(output(DEVICE).news(view(state, about=About()), view(state), Changes()))

    assert [message.topic for message in changed] == [PREFIX.device("innovaphone__hq")]
    assert '"sw_version": "14r2"' in json.dumps(changed[0].payload)


def test_forwards_appear_where_they_are_known() -> None:
    """And where `forward` is permitted, once this version has the verb."""
    known = replace(DEVICE, forwards=True)
    found = {key for key in present(device(known, people(), ANNA)) if key.startswith("forward")}

    assert found == ({"forward_always", "forward_busy", "forward_no_answer"} if "forward" in VERBS else set())


def test_users_of_other_ids_have_the_same_device() -> None:
    """`user_id` changes topics; a device is of a guid."""
    history = History(Scope(user_id="e164")).start(user("g-anna", "Anna", number="21"))

    assert PREFIX.device("innovaphone__hq__g-anna") in tree(DEVICE, history.state)


def judged(discovery: Discovery, messages: Mapping[str, Any]) -> set[Finding]:
    """What is found of the messages of a run."""
    home = output(discovery).consumer(TOPICS)
    assert home is not None
    return {home.judge(topic, payload) for topic, payload in messages.items()}


@pytest.mark.parametrize("mode", Mode)
def test_what_an_earlier_run_left_is_recognised(mode: Mode) -> None:
    """Of the same mode, it is compared with what is wanted; of another one, it goes."""
    other = Mode.COMPONENT if mode is Mode.DEVICE else Mode.DEVICE
    mine, before = (tree(replace(DEVICE, mode=each), people(NIGHT)) for each in (mode, other))
    off = withdrawal(PREFIX).consumer(TOPICS)
    assert off is not None

    assert judged(replace(DEVICE, mode=mode), mine) == {Finding.OURS}
    assert judged(replace(DEVICE, mode=mode), before) == {Finding.OUTDATED}
    assert {off.judge(topic, payload) for topic, payload in {**mine, **before}.items()} == {Finding.OUTDATED}
    assert list(withdrawal(PREFIX).tree(view(people()))) == []
    assert list(withdrawal(PREFIX).news(view(people()), view(people()), Changes())) == []


def test_all_of_it_is_on_topics_that_are_read() -> None:
    """And has the mark by which it is found among what others write."""
    for mode in Mode:
        home = output(replace(DEVICE, mode=mode)).consumer(TOPICS)
        assert home is not None
        patterns = [re.compile(re.escape(each).replace(r"\+", "[^/]+")) for each in home.written]
        for topic, payload in tree(replace(DEVICE, mode=mode), people(NIGHT)).items():
            assert any(pattern.fullmatch(topic) for pattern in patterns)
            assert home.mark.decode() in json.dumps(payload)
        assert set(home.written) < set(home.filters)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"origin": None, "device": None},
        {"origin": {"name": "zigbee2mqtt"}, "device": {"identifiers": ["innovaphone__hq"]}},
        {"origin": {"name": names.ORIGIN}, "device": {"identifiers": "innovaphone__hq"}},
        {"origin": {"name": names.ORIGIN}, "device": {"identifiers": ["innovaphone__hq", "x"]}},
        {"origin": {"name": names.ORIGIN}, "device": {"identifiers": [7]}},
        {"origin": {"name": names.ORIGIN}, "device": {"identifiers": ["innovaphone__hq2"]}},
        {"origin": {"name": names.ORIGIN}, "device": {"identifiers": ["innovaphone__branch__g-anna"]}},
        {"origin": {"name": names.ORIGIN}, "device": ["innovaphone__hq"]},
        {"origin": names.ORIGIN, "device": {"identifiers": ["innovaphone__hq"]}},
    ],
)
def test_what_is_not_ours_is_left_alone(payload: dict[str, object]) -> None:
    """Other programs write there, and so do bridges for other PBXs."""
    assert judged(DEVICE, {PREFIX.device("innovaphone__hq"): payload}) == {Finding.FOREIGN}


@pytest.mark.parametrize(
    "topic",
    [
        "homeassistant/device/lamp/config",
        "homeassistant/device/innovaphone__hq__g-anna/config",
        "homeassistant/sensor/lamp/innovaphone__hq/config",
        "elsewhere/device/innovaphone__hq/config",
        "homeassistant/sensor/innovaphone__hq/config/x",
        "",
    ],
)
def test_ours_lies_on_the_topic_of_its_device(topic: str) -> None:
    """Whoever copies our words to another topic does not make us erase it."""
    payload = {"origin": {"name": names.ORIGIN}, "device": {"identifiers": ["innovaphone__hq"]}}

    assert judged(DEVICE, {topic: payload}) == {Finding.FOREIGN}
