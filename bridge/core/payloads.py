"""The types of all payloads that the bridge publishes, and the meaning of each key. Renders nothing.

`innovaphone-mqtt contract` prints them, and docs/topics.md shows them. Consumers build on them: additions are
fine, but what is here keeps its name, type and meaning while `SCHEMA` has this number.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired, TypedDict

from bridge.core.model import Direction, EventType, Outcome
from bridge.core.records import CallState
from bridge.core.status import LinkState
from bridge.errors import ErrorCode

SCHEMA: Literal[1] = 1
"""The number in the key `schema`. Only a change that could break a consumer raises it."""


@dataclass(frozen=True, slots=True)
class About:
    """What a key means, in Markdown, and the JSON Schema format of its value if it has one."""

    text: str = ""
    format: str = ""


Time = Annotated[str, About(format="date-time")]
"""A moment: RFC 3339 in UTC, with milliseconds and Z."""
Schema = Annotated[Literal[1], About("the version of the contract")]
PbxName = Annotated[str, About("the name of the PBX, as in the topic")]
CallWord = Literal["ringing", "connected", "held", "dialing", "idle"]
"""The state of all calls of a user in one word."""
StatePayload = Literal["online", "offline"]
"""What the topic `state` of a PBX says, as plain text."""


class Master(TypedDict):
    """By which PBX another one was found."""

    pbx: Annotated[str, About("the configured PBX, as in its topics")]
    location: Annotated[str, About("the `location` of the users who are at home here")]


class Info(TypedDict):
    """The link to a PBX: whether it works, and why not."""

    schema: Schema
    pbx: PbxName
    link: Annotated[LinkState, About("the state of the link; `rejected`: a human must act")]
    reason: Annotated[
        str,
        About("why, in short. The log and `innovaphone-mqtt status` have the whole reason with addresses"),
    ]
    since: Annotated[Time, About("when the link got into this state")]
    firmware: Annotated[str, About("as the PBX reports it; may be empty")]
    serial: Annotated[str, About("as the PBX reports it; may be empty")]
    location: Annotated[str, About("as the PBX reports it; may be empty")]
    address: Annotated[
        Literal["primary", "standby"],
        About("whether the first of `urls` is used, or tried, or another one; `primary` where there is one"),
    ]
    master: Annotated[
        Master | None, About("which PBX found this one (`locations: auto`); null for a configured PBX")
    ]
    users: Annotated[int, About("visible users")]
    monitored: Annotated[int, About("users whose calls the PBX reports")]
    calls: Annotated[int, About("running calls")]
    settled: Annotated[bool, About("the running calls of all users that should be monitored are known")]
    takeovers: Annotated[
        int, About("how often another bridge, or its delayed Last Will, was on these topics")
    ]
    bridge: Annotated[str, About("the version of the bridge")]
    time: Annotated[Time, About("when this was written")]


class Party(TypedDict):
    """Somebody who takes part in a call."""

    number: Annotated[
        str,
        About(
            "as the PBX has it; may be empty. With `dial_plan` that of a party outside is in E.164 "
            "(`+49711123456`) wherever it can be; `privacy` may leave `xxx456`, a pseudonym, or nothing"
        ),
    ]
    name: Annotated[str, About("as the PBX has it, or from a `phonebook`, and as `privacy` shows it")]
    user: Annotated[
        str | None,
        About(
            "the topic id of a known user: one that the PBX names by short name; by number alone only where "
            "our user dialled it or where that user has the other leg. `null` where `privacy` hides the party"
        ),
    ]
    anonymous: Annotated[bool, About("the PBX reports nothing at all about it")]
    internal: Annotated[bool, About("a known user, or a number that fits `dial_plan.internal`")]


class Cause(TypedDict):
    """Why a call ended."""

    code: Annotated[int, About("a Q.850 code")]
    text: Annotated[str, About("what the code means")]


class Call(TypedDict):
    """One leg: one call as one user sees it."""

    id: Annotated[str, About("stable for the life of the leg, over reconnects and restarts of the bridge")]
    conference: Annotated[str, About("equal for all legs of one conversation")]
    direction: Annotated[
        Direction,
        About(
            "as the person at the phone sees it. For a trunk as the company sees it: an outside caller is "
            "`inbound`"
        ),
    ]
    state: Annotated[CallState, About("the state of the leg")]
    remote: Annotated[Party, About("the remote party")]
    diverted_from: Annotated[Party | None, About("the last user who diverted the call")]
    first_diverted_from: Annotated[Party | None, About("the first user who diverted the call")]
    transferred_by: Annotated[Party | None, About("who transferred the call to this user")]
    transferred_to: Annotated[Party | None, About("where the call was transferred to")]
    parked_at: Annotated[Party | None, About("the object where the call is parked")]
    picked_up_from: Annotated[Party | None, About("for whom the call rang before this user took it")]
    held: Annotated[bool, About("on hold by this user")]
    held_by_remote: Annotated[bool, About("on hold by the remote party")]
    started_at: Annotated[Time, About("when the call began")]
    answered_at: Annotated[Time | None, About("when it was first connected")]
    ended_at: Annotated[Time | None, About("when it ended")]
    ring_s: Annotated[float | None, About("seconds from the beginning to the answer or the end")]
    talk_s: Annotated[float | None, About("seconds since the answer")]
    outcome: Annotated[Outcome | None, About("how the call ended; `null` while it runs")]
    cause: Annotated[Cause | None, About("Q.850 code and text, or `null`")]
    uui: Annotated[str | None, About("user-user information, decoded, or `null`")]
    command_id: Annotated[str | None, About("`id` of the request that placed the call")]


class Presence(TypedDict):
    """What other people see of a user's availability."""

    activity: Annotated[str, About("`available`, or a word of the PBX such as `away`, `busy` and `dnd`")]
    status: Annotated[str, About("`open`, `closed` or empty")]
    note: Annotated[str, About("a text beside it")]


class Group(TypedDict):
    """Membership in a group."""

    name: Annotated[str, About("the name of the group")]
    active: Annotated[bool, About("active members see the others")]


class Switch(TypedDict):
    """The value of a Boolean object."""

    mode: Annotated[Literal["auto", "manual"], About("set by its times, or by a person")]
    on: Annotated[bool, About("the value")]


class Forwards(TypedDict):
    """Where the calls of a user are forwarded to: a number, or a short name; `null`: they are not."""

    always: Annotated[str | None, About("all calls")]
    busy: Annotated[str | None, About("calls while the user is busy")]
    no_answer: Annotated[str | None, About("calls that the user does not answer")]


class UserState(TypedDict):
    """A user now, with the running calls and the last one."""

    schema: Schema
    pbx: PbxName
    user: Annotated[str, About("the topic id of the user")]
    guid: Annotated[str, About("identifies the user, also when it is renamed")]
    name: Annotated[str, About("the long name")]
    display_name: Annotated[str, About("the display name; may be empty")]
    number: Annotated[str, About("the number; may be empty")]
    type: Annotated[
        str,
        About(
            "`ep` phone, `gw` trunk, `waiting` queue, `broadcast` group, or another word of the PBX. All "
            "have the same topics"
        ),
    ]
    active: Annotated[bool, About("the PBX reports the user as present")]
    registered: Annotated[bool, About("a device is registered")]
    call_state: Annotated[
        CallWord,
        About(
            "from all running calls, the first that fits: an inbound call is set up or rings; one is "
            "connected; all connected calls are held; an outbound call is set up; none"
        ),
    ]
    alerting: Annotated[int, About("ringing calls, as the PBX counts them")]
    channels: Annotated[int, About("calls, as the PBX counts them")]
    presence: Annotated[Presence, About("an empty activity is `available`; an unknown one is passed on")]
    groups: Annotated[list[Group], About("the groups that the user belongs to")]
    emails: Annotated[list[str], About("e-mail addresses")]
    location: Annotated[str, About("the PBX where the user is registered, if it is another one")]
    node: Annotated[str, About("the node of the numbering plan")]
    calls: Annotated[list[Call], About("the running calls, oldest first")]
    last_call: Annotated[Call | None, About("the last call that ended")]
    missed: Annotated[int, About("missed calls since the bridge first saw the user; kept over restarts")]
    since: Annotated[Time, About("first seen")]
    time: Annotated[Time, About("last change")]
    switch: NotRequired[
        Annotated[
            Switch,
            About("Boolean objects only. The PBX reports the value as a call; it never appears in `calls`"),
        ]
    ]
    forwards: NotRequired[
        Annotated[
            Forwards,
            About(
                "with `forwards: true` of the PBX only, once they have been read; the verb `forward` "
                "changes them"
            ),
        ]
    ]


class Event(TypedDict):
    """What happened to a call of a user."""

    schema: Schema
    id: Annotated[str, About("the same event always has the same id")]
    seq: Annotated[
        int, About("rises by one with each event of a PBX within an `epoch`; a gap is a lost event")
    ]
    epoch: Annotated[str, About("one run of the link")]
    time: Annotated[Time, About("when it happened")]
    event_type: Annotated[EventType, About("what happened; a closed list")]
    pbx: PbxName
    user: Annotated[str, About("the topic id of the user")]
    call: Annotated[Call | None, About("the call after the event; `null` for `switched` only")]
    queued: Annotated[bool, About("it had to wait for the broker")]
    age_ms: Annotated[int, About("how long it waited")]
    reason: NotRequired[
        Annotated[
            Literal["resync"],
            About("the call was already running when the bridge first saw it; on its first events only"),
        ]
    ]
    text_message: NotRequired[
        Annotated[Literal[True], About("it is about no call, but about a text message of the verb `message`")]
    ]
    switch: NotRequired[Annotated[Switch, About("`switched` only: the value of a Boolean object")]]


class Reply(TypedDict):
    """The keys that all replies have in common."""

    schema: Schema
    id: Annotated[str | None, About("the `id` of the request, if it had a usable one")]
    verb: Annotated[str, About("the verb, as it was written in the topic")]
    time: Annotated[Time, About("when the reply was made")]
    duplicate: NotRequired[
        Annotated[
            Literal[True], About("the stored reply to an earlier request with this `id`; nothing has run")
        ]
    ]


class Accepted(Reply):
    """The PBX has accepted the request. What a verb adds is the `reply` of the verb."""

    status: Annotated[Literal["ok"], About("the PBX has accepted the request")]


class Refused(Reply):
    """The request was not carried out."""

    status: Annotated[Literal["error"], About("it has not been carried out")]
    code: Annotated[ErrorCode, About("why, as a word of a closed list")]
    message: Annotated[str, About("why, as a sentence")]
    retryable: Annotated[
        bool, About("the same request may be repeated with the same `id`; this refusal is not stored")
    ]
