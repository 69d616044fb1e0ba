"""The users, calls and events that bridges publish, as one board. Pure: no terminal, no clock, no network.

Whatever a broker delivers is taken: what does not look like a message of a bridge is ignored, and a user or
PBX beyond the limit is counted only.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from bridge.core.message import Incoming
from bridge.core.topics import decode
from bridge.watch.reading import Fields, far_end, fields_of, items, moment, nested, text, whole

USERS_AT_MOST, PBXS_AT_MOST, EVENTS_AT_MOST = 50_000, 5_000, 200
RANKS = {"ringing": 0, "connected": 1, "held": 2, "dialing": 3}
"""The order of the busy users, by their call state. All others are idle."""
IDLE_RANK = 4
STARTS_AT = {"connected": "answered_at", "held": "answered_at"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was heard: the broker, and the name of the PBX."""

    broker: str
    pbx: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message was about. `user`: topic id, "" if it is about the PBX; `name`: of the user, or ""."""

    place: Place
    user: str = ""
    name: str = ""
    event: Fields | None = None


@dataclass(frozen=True, slots=True)
class Pbx:
    """One PBX: `state` is its topic of that name, the rest comes from `info`."""

    state: str = ""
    link: str = ""
    reason: str = ""
    users: int = 0
    calls: int = 0

    @property
    def online(self) -> bool:
        """The bridge says that the link works."""
        return self.state == "online"


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the board shows it. `since` is the start of its call, `changed` the last change, if known."""

    topic_id: str
    name: str
    number: str
    call_state: str
    direction: str
    remote: str
    since: datetime | None
    changed: datetime | None
    presence: str
    note: str
    missed: int

    @property
    def rank(self) -> int:
        """0 for ringing users, higher for those who need less attention."""
        return RANKS.get(self.call_state, IDLE_RANK)

    @property
    def busy(self) -> bool:
        """The user has a call."""
        return self.rank < IDLE_RANK


@dataclass(slots=True)
class Board:
    """What has been heard so far. `left_out` counts the users and PBXs beyond the limits."""

    base: str
    pbxs: dict[Place, Pbx] = field(default_factory=dict)
    people: dict[tuple[Place, str], Person] = field(default_factory=dict)
    events: deque[tuple[Place, Fields]] = field(default_factory=lambda: deque(maxlen=EVENTS_AT_MOST))
    left_out: int = 0

    def hear(self, broker: str, incoming: Incoming) -> Heard | None:
        """Take one message. None if it is not one of a bridge."""
        prefix = f"{self.base}/"
        if not incoming.topic.startswith(prefix):
            return None
        name, *levels = incoming.topic.removeprefix(prefix).split("/")
        place = Place(broker, name)
        match levels:
            case ["state"]:
                self._state(place, incoming.payload)
                return Heard(place)
            case ["info"]:
                self._info(place, incoming.payload)
                return Heard(place)
            case ["user", user, "state"]:
                name = self.name_of(place, user)
                self._user(place, user, incoming.payload)
                return Heard(place, user, self.name_of(place, user) or name)
            case ["user", user, "event"]:
                event = fields_of(incoming.payload)
                if event:
                    self.events.append((place, event))
                return Heard(place, user, self.name_of(place, user), event or None)
            case _:
                return None

    def name_of(self, place: Place, topic_id: str) -> str:
        """The name of a user, "" for an unknown one."""
        known = self.people.get((place, topic_id))
        return "" if known is None else known.name

    def forget(self, broker: str) -> None:
        """Drop all that a broker has said: a new connection delivers again what is still true."""
        self.pbxs = {place: pbx for place, pbx in self.pbxs.items() if place.broker != broker}
        self.people = {key: person for key, person in self.people.items() if key[0].broker != broker}

    def by_attention(self) -> list[tuple[Place, Person]]:
        """All users: ringing ones first, then those who talk; among equals the last one that changed."""

        def order(item: tuple[Place, Person]) -> tuple[int, float, str]:
            person = item[1]
            return person.rank, -(person.changed.timestamp() if person.changed else 0), person.name

        return sorted(((place, person) for (place, _), person in self.people.items()), key=order)

    def _state(self, place: Place, payload: bytes) -> None:
        if not payload:
            self.pbxs.pop(place, None)
            return
        self._put(place, state=text(payload.decode(errors="replace")))

    def _info(self, place: Place, payload: bytes) -> None:
        info = fields_of(payload)
        if info:
            said = {key: text(info.get(key)) for key in ("link", "reason")}
            self._put(place, **said, users=whole(info.get("users")), calls=whole(info.get("calls")))

    def _put(self, place: Place, **news: str | int) -> None:
        known = self.pbxs.get(place)
        if known is None and len(self.pbxs) >= PBXS_AT_MOST:
            self.left_out += 1
            return
        kept = {name: getattr(known, name) for name in Pbx.__slots__} if known else {}
        self.pbxs[place] = Pbx(**{**kept, **news})

    def _user(self, place: Place, topic_id: str, payload: bytes) -> None:
        key, state = (place, topic_id), fields_of(payload)
        if not state:
            self.people.pop(key, None)
        elif key in self.people or len(self.people) < USERS_AT_MOST:
            self.people[key] = person(topic_id, state)
        else:
            self.left_out += 1


def person(topic_id: str, state: Fields) -> Person:
    """A user from the payload of its state."""
    calls = [call for call in items(state.get("calls")) if call]
    word = text(state.get("call_state")) or "idle"
    call: Fields = next(_shown(word, calls), {})
    presence = nested(state.get("presence"))
    return Person(
        topic_id=topic_id,
        name=text(state.get("display_name")) or text(state.get("name")) or text(decode(topic_id)),
        number=text(state.get("number")),
        call_state=word,
        direction=text(call.get("direction")),
        remote=far_end(nested(call.get("remote"))) if call else "",
        since=moment(call.get(STARTS_AT.get(word, "started_at"))),
        changed=moment(state.get("time")),
        presence=text(presence.get("activity")),
        note=text(presence.get("note")),
        missed=whole(state.get("missed")),
    )


def _shown(word: str, calls: list[Fields]) -> Iterator[Fields]:
    """The calls, those first that give the user its call state."""
    held = word == "held"
    wanted = {"ringing": ("ringing", "setup"), "connected": ("connected",), "held": ("connected",)}
    yield from (
        call
        for call in calls
        if call.get("state") in wanted.get(word, ()) and (word == "ringing" or bool(call.get("held")) is held)
    )
    yield from calls
