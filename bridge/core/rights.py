"""The rights that the bridge needs at a broker, and the judgement of a trial of them. No I/O here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bridge.core.commands.reply_topics import may_reply_to
from bridge.core.outputs.consumer import Consumer
from bridge.core.topics import Topics

CHECK = "innovaphone-mqtt-check"
"""A topic level for trials: no user, PBX, requester or topic tree has this name."""
READ, WRITE = "read", "write"


@dataclass(frozen=True, slots=True)
class Right:
    """One entry of an access list. `needed`: without it the bridge cannot do what it promises."""

    access: str
    pattern: str
    purpose: str
    needed: bool = True

    @property
    def remedy(self) -> str:
        """How to grant it."""
        kinds = "publishClientSend" if self.access == WRITE else "subscribePattern and publishClientReceive"
        return f"add to Mosquitto's acl_file: topic {self.access} {self.pattern} (dynamic security: {kinds})"


@dataclass(frozen=True, slots=True)
class TrialTopic:
    """A topic where rights are tested: by a message, and by a subscription to `listen`.

    `live`: programs act on it, so nothing is published there while a bridge serves the PBX.
    `private`: another client's topic, where nothing is published at all.
    """

    topic: str
    listen: str
    write: Right | None = None
    read: Right | None = None
    live: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The observations of a trial: messages taken and refused, filters refused (`deaf`), messages `heard`.

    `closed`: messages at which it ended the connection. `others`: topics where others' messages came.
    `honest`: it says which messages it refuses (MQTT 5).
    """

    taken: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    deaf: frozenset[str] = frozenset()
    heard: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    honest: bool = False

    def completed(self, honest: "Seen") -> "Seen":
        """Add what an honest trial of the same user has shown; a dishonest broker acknowledges anything."""
        return Seen(
            honest.taken,
            self.refused | honest.refused,
            self.closed | honest.closed,
            self.deaf | honest.deaf,
            self.heard | honest.heard,
            self.others | honest.others,
            honest=True,
        )


@dataclass(frozen=True, slots=True)
class Lack:
    """A right that is missing, and how that showed."""

    right: Right
    evidence: str


def needed(
    topics: Topics, *, dots: bool = True, elsewhere: Sequence[str] = (), consumers: Sequence[Consumer] = ()
) -> tuple[TrialTopic, ...]:
    """Every right that the bridge uses.

    `dots`: it checks whether the broker keeps dots. `elsewhere`: patterns of response topics outside ours.
    `consumers`: programs that it writes for outside of its tree.
    """
    of_consumers = (tried for consumer in consumers for tried in _of_consumer(consumer))
    of_ours = (*_of_states(topics), *_of_commands(topics))
    trial_topics = (*of_ours, *map(_of_replies, elsewhere), *of_consumers)
    return (*trial_topics, _of_dots(topics)) if dots else trial_topics


def _of_states(topics: Topics) -> Iterator[TrialTopic]:
    of_users = topics.user_states
    yield TrialTopic(
        topics.state,
        topics.state,
        Right(WRITE, topics.state, "online and offline"),
        Right(READ, topics.state, "to see that what it publishes arrives"),
        live=True,
    )
    yield TrialTopic(topics.info, topics.info, Right(WRITE, topics.info, "why the PBX is offline"), live=True)
    yield TrialTopic(
        topics.user_state(CHECK),
        of_users,
        Right(WRITE, of_users, "states of users"),
        Right(READ, of_users, "to know the calls of an earlier run"),
    )
    event = topics.user_event(CHECK)
    yield TrialTopic(event, event, Right(WRITE, topics.user_event("+"), "call events"))


def _of_commands(topics: Topics) -> Iterator[TrialTopic]:
    of_pbx, of_users = topics.commands
    clearing = "to erase retained commands"
    yield TrialTopic(
        f"{topics.root}/command/ping", of_pbx, Right(WRITE, of_pbx, clearing), Right(READ, of_pbx, "commands")
    )
    yield TrialTopic(
        f"{topics.root}/user/{CHECK}/command/ping",
        of_users,
        Right(WRITE, of_users, clearing),
        Right(READ, of_users, "commands to a user"),
    )
    ping, reply = topics.response("ping"), f"{topics.replies}{CHECK}"
    yield TrialTopic(
        ping,
        ping,
        Right(WRITE, topics.response("+"), "replies"),
        Right(READ, ping, "to find a second bridge for this PBX", needed=False),
    )
    yield TrialTopic(reply, reply, Right(WRITE, f"{topics.replies}#", "replies to MQTT 5 response topics"))


def _of_replies(pattern: str) -> TrialTopic:
    """An unused topic that matches the pattern, if there is one."""
    levels = pattern.split("/")
    granted = "/".join("+" if "*" in level else level for level in levels)
    topic = "/".join(CHECK if level in {"+", "#"} else level.replace("*", CHECK) for level in levels)
    right = Right(WRITE, granted, "replies, by commands.response_topics")
    return TrialTopic(topic, topic, right, private=topic == pattern)


def _of_consumer(consumer: Consumer) -> Iterator[TrialTopic]:
    """Nothing is published there: a program reads it."""
    for pattern in consumer.written:
        write = Right(WRITE, pattern, f"what {consumer.name} reads")
        read = Right(READ, pattern, "to erase what an earlier run left", needed=False)
        yield TrialTopic(pattern.replace("+", CHECK), pattern, write, read, private=True)
    if consumer.birth is not None:
        read = Right(READ, consumer.birth, f"to tell {consumer.name} all again when it starts", needed=False)
        yield TrialTopic(consumer.birth, consumer.birth, read=read, private=True)


def _of_dots(topics: Topics) -> TrialTopic:
    topic, purpose = topics.dotted, "to recognise a broker that changes dots"
    write, read = (Right(access, topic, purpose, needed=False) for access in (WRITE, READ))
    return TrialTopic(topic, topic, write, read)


def outside(topics: Topics) -> dict[str, str]:
    """Unused topics where the bridge must not write, each with what such a right would allow."""
    return {
        f"{topics.base}/{CHECK}/state": f"speak for other PBXs (write {topics.base}/<another PBX>/state)",
        f"{topics.base}/{CHECK}/command/ping": (
            f"command other PBXs (write {topics.base}/<another PBX>/command/...)"
        ),
        f"{CHECK}/check": f"write outside of {topics.base}/",
        f"$CONTROL/dynamic-security/{CHECK}": "change the rights at the broker (write $CONTROL/...)",
        f"$SYS/{CHECK}": "write $SYS/...",
    }


def lacks(trial_topics: tuple[TrialTopic, ...], seen: Seen) -> tuple[Lack, ...]:
    """The rights that are missing."""
    return tuple(lack for tried in trial_topics for lack in _lacks(tried, seen))


def unknown(trial_topics: tuple[TrialTopic, ...], seen: Seen) -> tuple[Right, ...]:
    """The rights that the trial neither proved nor disproved."""
    missing = {each.right for each in lacks(trial_topics, seen)}
    rights = (right for tried in trial_topics for right in _unproven(tried, seen))
    return tuple(right for right in rights if right not in missing)


def excess(
    topics: Topics,
    seen: Seen,
    pbxs: Iterable[str],
    elsewhere: Sequence[str] = (),
    consumers: Sequence[Consumer] = (),
) -> tuple[str, ...]:
    """Rights that the bridge has but does not need. `pbxs`: all that it serves; for others see `needed`."""
    written = seen.heard | (seen.taken if seen.honest else frozenset())
    beyond = {
        topic: what for topic, what in outside(topics).items() if not may_reply_to(topic, topics, elsewhere)
    }
    own = tuple(f"{topics.base}/{pbx}/" for pbx in pbxs)
    listened = {tried.listen for consumer in consumers for tried in _of_consumer(consumer)}
    foreign = sorted(
        topic
        for topic in seen.others
        if not topic.startswith(own) and not any(_is_in(topic, each) for each in listened)
    )
    return (
        *(meaning for topic, meaning in beyond.items() if topic in written),
        *(f"read {topic}" for topic in foreign),
    )


def _is_in(topic: str, pattern: str) -> bool:
    """Whether a filter without # has this topic."""
    levels, wanted = topic.split("/"), pattern.split("/")
    return len(levels) == len(wanted) and all(
        each in {"+", level} for level, each in zip(levels, wanted, strict=True)
    )


def _lacks(tried: TrialTopic, seen: Seen) -> Iterator[Lack]:
    deaf = tried.listen in seen.deaf
    if tried.write is not None:
        if tried.topic in seen.closed:
            yield Lack(tried.write, f"the broker ends the connection at the publish to {tried.topic}")
        elif tried.topic in seen.refused:
            yield Lack(tried.write, f"the broker refuses the publish to {tried.topic}")
    if tried.read is None:
        return
    if deaf:
        yield Lack(tried.read, f"the broker refuses the subscription to {tried.listen}")
    elif tried.topic in seen.taken and tried.topic not in seen.heard | seen.others:
        silence = f"the broker takes {tried.topic} but does not deliver it"
        if tried.write is not None and not seen.honest:
            either = f"{silence}: this right or the one to read it is missing"
            yield Lack(tried.write, either)
            silence = f"{silence}: this right or the one to write it is missing"
        yield Lack(tried.read, silence)


def _unproven(tried: TrialTopic, seen: Seen) -> Iterator[Right]:
    heard = tried.topic in seen.heard
    if tried.write is not None and not heard and not (seen.honest and tried.topic in seen.taken):
        yield tried.write
    if tried.read is not None and not heard and tried.topic not in seen.others:
        yield tried.read
