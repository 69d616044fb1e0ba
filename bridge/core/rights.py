"""The rights that the bridge needs at a broker, and the judgement of a trial of them. No I/O here."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bridge.core.commands.reply_topics import may_reply_to
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
class Probe:
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
    """What the broker did: messages taken and refused, filters refused (`deaf`), our messages that came back.

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


def needed(topics: Topics, *, dots: bool = True, elsewhere: Sequence[str] = ()) -> tuple[Probe, ...]:
    """Every right that the bridge uses.

    `dots`: it checks whether the broker keeps dots. `elsewhere`: patterns of response topics outside ours.
    """
    probes = (*_of_states(topics), *_of_commands(topics), *map(_of_replies, elsewhere))
    return (*probes, _of_dots(topics)) if dots else probes


def _of_states(topics: Topics) -> Iterator[Probe]:
    of_users = topics.user_states
    yield Probe(
        topics.state,
        topics.state,
        Right(WRITE, topics.state, "online and offline"),
        Right(READ, topics.state, "to see that what it publishes arrives"),
        live=True,
    )
    yield Probe(topics.info, topics.info, Right(WRITE, topics.info, "why the PBX is offline"), live=True)
    yield Probe(
        topics.user_state(CHECK),
        of_users,
        Right(WRITE, of_users, "states of users"),
        Right(READ, of_users, "to know the calls of an earlier run"),
    )
    event = topics.user_event(CHECK)
    yield Probe(event, event, Right(WRITE, topics.user_event("+"), "call events"))


def _of_commands(topics: Topics) -> Iterator[Probe]:
    of_pbx, of_users = topics.commands
    clearing = "to erase retained commands"
    yield Probe(
        f"{topics.root}/command/ping", of_pbx, Right(WRITE, of_pbx, clearing), Right(READ, of_pbx, "commands")
    )
    yield Probe(
        f"{topics.root}/user/{CHECK}/command/ping",
        of_users,
        Right(WRITE, of_users, clearing),
        Right(READ, of_users, "commands to a user"),
    )
    ping, reply = topics.response("ping"), f"{topics.replies}{CHECK}"
    yield Probe(
        ping,
        ping,
        Right(WRITE, topics.response("+"), "replies"),
        Right(READ, ping, "to find a second bridge for this PBX", needed=False),
    )
    yield Probe(reply, reply, Right(WRITE, f"{topics.replies}#", "replies to MQTT 5 response topics"))


def _of_replies(pattern: str) -> Probe:
    """An unused topic that matches the pattern, if there is one."""
    levels = pattern.split("/")
    granted = "/".join("+" if "*" in level else level for level in levels)
    topic = "/".join(CHECK if level in {"+", "#"} else level.replace("*", CHECK) for level in levels)
    right = Right(WRITE, granted, "replies, by commands.response_topics")
    return Probe(topic, topic, right, private=topic == pattern)


def _of_dots(topics: Topics) -> Probe:
    topic, purpose = topics.dotted, "to recognise a broker that changes dots"
    write, read = (Right(access, topic, purpose, needed=False) for access in (WRITE, READ))
    return Probe(topic, topic, write, read)


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


def lacks(probes: tuple[Probe, ...], seen: Seen) -> tuple[Lack, ...]:
    """The rights that are missing."""
    return tuple(lack for probe in probes for lack in _lacks(probe, seen))


def unknown(probes: tuple[Probe, ...], seen: Seen) -> tuple[Right, ...]:
    """The rights that the trial neither proved nor disproved."""
    missing = {each.right for each in lacks(probes, seen)}
    rights = (right for probe in probes for right in _unproven(probe, seen))
    return tuple(right for right in rights if right not in missing)


def excess(topics: Topics, seen: Seen, pbxs: Iterable[str], elsewhere: Sequence[str] = ()) -> tuple[str, ...]:
    """Rights that the bridge has but does not need. `pbxs`: all that it serves; `elsewhere`: see `needed`."""
    written = seen.heard | (seen.taken if seen.honest else frozenset())
    beyond = {
        topic: what for topic, what in outside(topics).items() if not may_reply_to(topic, topics, elsewhere)
    }
    own = tuple(f"{topics.base}/{pbx}/" for pbx in pbxs)
    foreign = sorted(topic for topic in seen.others if not topic.startswith(own))
    return (
        *(meaning for topic, meaning in beyond.items() if topic in written),
        *(f"read {topic}" for topic in foreign),
    )


def _lacks(probe: Probe, seen: Seen) -> Iterator[Lack]:
    deaf = probe.listen in seen.deaf
    if probe.write is not None:
        if probe.topic in seen.closed:
            yield Lack(probe.write, f"the broker ends the connection at the publish to {probe.topic}")
        elif probe.topic in seen.refused:
            yield Lack(probe.write, f"the broker refuses the publish to {probe.topic}")
    if probe.read is None:
        return
    if deaf:
        yield Lack(probe.read, f"the broker refuses the subscription to {probe.listen}")
    elif probe.topic in seen.taken and probe.topic not in seen.heard | seen.others:
        silence = f"the broker takes {probe.topic} but does not deliver it"
        if probe.write is not None and not seen.honest:
            either = f"{silence}: this right or the one to read it is missing"
            yield Lack(probe.write, either)
            silence = f"{silence}: this right or the one to write it is missing"
        yield Lack(probe.read, silence)


def _unproven(probe: Probe, seen: Seen) -> Iterator[Right]:
    heard = probe.topic in seen.heard
    if probe.write is not None and not heard and not (seen.honest and probe.topic in seen.taken):
        yield probe.write
    if probe.read is not None and not heard and probe.topic not in seen.others:
        yield probe.read
