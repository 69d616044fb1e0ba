"""The judgement of a trial of the broker's rights: what is missing, what is not known, what is too many."""

from dataclasses import replace

import pytest

from bridge.core.outputs.home_assistant import found
from bridge.core.outputs.home_assistant.devices import Discovery, Mode
from bridge.core.outputs.home_assistant.names import DiscoveryTopics
from bridge.core.rights import (
    CHECK,
    READ,
    WRITE,
    Right,
    Seen,
    TrialTopic,
    excess,
    lacks,
    needed,
    outside,
    unknown,
)
from bridge.core.topics import Topics
from tests.brokers.examples import EXAMPLES

TOPICS = Topics("innovaphone", "hq")
TRIAL_TOPICS = needed(TOPICS)
ALL = frozenset(tried.topic for tried in TRIAL_TOPICS)
SILENT = Seen(taken=ALL, heard=ALL)
HONEST = replace(SILENT, honest=True)
STATE = "innovaphone/hq/state"
EVENT = f"innovaphone/hq/user/{CHECK}/event"
BOTH = {(READ, STATE), (WRITE, STATE)}


def missing(seen: Seen) -> set[tuple[str, str]]:
    """Access and pattern of what is missing."""
    return {(each.right.access, each.right.pattern) for each in lacks(TRIAL_TOPICS, seen)}


def open_questions(seen: Seen) -> set[tuple[str, str]]:
    """The same of what is not known."""
    return {(each.access, each.pattern) for each in unknown(TRIAL_TOPICS, seen)}


def test_the_example_has_these_rights_and_no_others() -> None:
    """What is tried is what config/examples grants."""
    lines = (EXAMPLES / "bridge.acl").read_text(encoding="utf-8").splitlines()
    granted = [line.split()[1:] for line in lines if line.startswith("topic ")]
    given = {(kind, topic) for access, topic in granted for kind in (READ, WRITE) if kind in access}
    wanted = {
        (right.access, right.pattern)
        for tried in TRIAL_TOPICS
        for right in (tried.write, tried.read)
        if right is not None
    }
    assert given == wanted


@pytest.mark.parametrize("mode", Mode)
def test_the_example_has_the_rights_for_home_assistant(mode: Mode) -> None:
    """As lines to uncomment."""
    text = (EXAMPLES / "bridge.acl").read_text(encoding="utf-8").partition("# With homeassistant")[2]
    lines = [line.split()[2:] for line in text.splitlines() if line.startswith("# topic ")]
    unused = "/+/+/config" if mode is Mode.DEVICE else "/device/+/config"
    granted = [line for line in lines if not line[1].endswith(unused)]
    home = found.consumer(Discovery(mode, DiscoveryTopics("homeassistant")), TOPICS)
    rights = {
        (right.access, right.pattern)
        for tried in set(needed(TOPICS, consumers=[home])) - set(TRIAL_TOPICS)
        for right in (tried.write, tried.read)
        if right is not None
    }

    assert {(kind, topic) for access, topic in granted for kind in (READ, WRITE) if kind in access} == rights


def test_what_was_once_written_needs_no_right() -> None:
    """Discovery is off: what is left is erased if that is possible."""
    former = found.former(DiscoveryTopics("homeassistant"), TOPICS)

    assert needed(TOPICS, consumers=[former]) == TRIAL_TOPICS


def test_what_others_say_to_a_consumer_is_no_excess() -> None:
    """The bridge may read it, to find what it left there itself."""
    home = found.consumer(Discovery(Mode.DEVICE, DiscoveryTopics("homeassistant")), TOPICS)
    heard = replace(HONEST, others=frozenset({"homeassistant/device/lamp/config", "homeassistant/x"}))

    assert excess(TOPICS, heard, ["hq"], (), [home]) == ("read homeassistant/x",)


def test_a_broker_that_keeps_no_dots_is_not_asked() -> None:
    """Where dots are encoded anyway."""
    assert {*TRIAL_TOPICS} - {*needed(TOPICS, dots=False)} == {
        each for each in TRIAL_TOPICS if "dot" in each.topic
    }


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (HONEST, set()),
        (SILENT, set()),
        (replace(HONEST, heard=ALL - {EVENT}), set()),
        (replace(HONEST, heard=ALL - {STATE}), {(READ, STATE)}),
        (replace(HONEST, heard=ALL - {STATE}, others=frozenset({STATE})), set()),
        (replace(SILENT, heard=ALL - {STATE}), BOTH),
        (replace(SILENT, heard=ALL - {EVENT}), set()),
        (replace(HONEST, deaf=frozenset({STATE})), {(READ, STATE)}),
        (
            Seen(taken=ALL - {STATE}, heard=ALL - {STATE}, refused=frozenset({STATE}), honest=True),
            {(WRITE, STATE)},
        ),
        (
            Seen(taken=ALL - {EVENT}, heard=ALL - {EVENT}, refused=frozenset({EVENT}), honest=True),
            {(WRITE, "innovaphone/hq/user/+/event")},
        ),
        (Seen(), set()),
    ],
)
def test_what_is_missing(seen: Seen, expected: set[tuple[str, str]]) -> None:
    """Refused, or taken and not delivered; without honesty that may be either right."""
    assert missing(seen) == expected


def test_words_of_evidence() -> None:
    """How it showed."""
    closed = Seen(refused=frozenset({STATE}), closed=frozenset({STATE}), deaf=frozenset({STATE}))
    assert [each.evidence for each in lacks(TRIAL_TOPICS, closed)] == [
        f"the broker ends the connection at the publish to {STATE}",
        f"the broker refuses the subscription to {STATE}",
    ]
    swallowed = replace(SILENT, heard=ALL - {STATE})
    assert [each.evidence.partition(": ")[2] for each in lacks(TRIAL_TOPICS, swallowed)] == [
        "this right or the one to read it is missing",
        "this right or the one to write it is missing",
    ]


def test_reading_alone_is_not_doubted() -> None:
    """A right that has no other beside it."""
    only = (TrialTopic("a", "a", read=Right(READ, "a", "for a reason")),)
    assert [each.right.access for each in lacks(only, Seen(taken=frozenset({"a"})))] == [READ]
    assert unknown(only, Seen(heard=frozenset({"a"}))) == ()


def test_a_remedy_for_both_kinds_of_rights() -> None:
    """The line for an access list, and the plugin's words."""
    write, read = TRIAL_TOPICS[0].write, TRIAL_TOPICS[0].read
    assert write is not None
    assert read is not None
    assert write.remedy.endswith(f"topic write {STATE} (dynamic security: publishClientSend)")
    assert read.remedy.endswith(
        f"topic read {STATE} (dynamic security: subscribePattern and publishClientReceive)"
    )


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (HONEST, set()),
        (SILENT, set()),
        (replace(SILENT, heard=ALL - {EVENT}), {(WRITE, "innovaphone/hq/user/+/event")}),
        (replace(HONEST, taken=ALL - {STATE}, heard=ALL - {STATE}), BOTH),
        (
            replace(HONEST, taken=ALL - {STATE}, heard=ALL - {STATE}, others=frozenset({STATE})),
            {(WRITE, STATE)},
        ),
        (
            replace(HONEST, taken=ALL - {STATE}, heard=ALL - {STATE}, refused=frozenset({STATE})),
            {(READ, STATE)},
        ),
    ],
)
def test_what_is_not_known(seen: Seen, expected: set[tuple[str, str]]) -> None:
    """What was not tried, or was taken by a broker that takes anything; nothing that is missing."""
    assert open_questions(seen) == expected


def test_an_honest_trial_completes_another() -> None:
    """What a silent broker took counts for nothing then."""
    silent = replace(SILENT, heard=frozenset({STATE}), deaf=frozenset({"a"}))
    honest = Seen(taken=ALL - {EVENT}, refused=frozenset({EVENT}), heard=ALL - {EVENT, STATE}, honest=True)
    both = silent.completed(honest)
    assert both.deaf == {"a"}
    assert both.heard == ALL - {EVENT}
    assert missing(both) == {(WRITE, "innovaphone/hq/user/+/event")}


def test_what_is_too_much() -> None:
    """Heard outside of the tree; taken there, if that means something; what others say elsewhere."""
    beyond = frozenset(outside(TOPICS))
    info = "innovaphone/branch/info"
    assert excess(TOPICS, HONEST, ["hq"]) == ()
    assert excess(TOPICS, replace(SILENT, taken=ALL | beyond), ["hq"]) == ()
    everything = tuple(outside(TOPICS).values())
    assert excess(TOPICS, replace(HONEST, taken=ALL | beyond), ["hq"]) == everything
    assert excess(TOPICS, replace(SILENT, heard=ALL | beyond), ["hq"]) == everything
    assert excess(TOPICS, replace(SILENT, others=frozenset({info, STATE})), ["hq"]) == (f"read {info}",)
    assert excess(TOPICS, replace(SILENT, others=frozenset({info, STATE})), ["hq", "branch"]) == ()


def test_other_topics_for_replies() -> None:
    """Each is granted as an access list can say it, and tried where nobody listens, if that is so."""
    patterns = ("home/+/reply", "work/reply-*", "else/#", "one/reply")
    trial_topics = [each for each in needed(TOPICS, elsewhere=patterns) if each not in TRIAL_TOPICS]
    assert [each.topic for each in trial_topics] == [
        f"home/{CHECK}/reply",
        f"work/reply-{CHECK}",
        f"else/{CHECK}",
        "one/reply",
    ]
    assert [each.write.pattern for each in trial_topics if each.write] == [
        "home/+/reply",
        "work/+",
        "else/#",
        "one/reply",
    ]
    assert [each.private for each in trial_topics] == [False, False, False, True]
    everything = replace(HONEST, taken=ALL | {*outside(TOPICS)})
    more = set(excess(TOPICS, everything, ["hq"])) - set(excess(TOPICS, everything, ["hq"], ["#"]))
    assert more == {"write outside of innovaphone/"}


def test_nobody_uses_the_topics_outside() -> None:
    """Each has a level that no PBX and no program has."""
    assert [topic for topic in outside(TOPICS) if CHECK not in topic.split("/")] == []
