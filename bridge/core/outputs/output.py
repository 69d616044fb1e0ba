"""The seam for outputs: what an output may look at, and the functions that it consists of. Sends nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bridge.core.locations import Home
from bridge.core.message import Message
from bridge.core.model import Changes, Instant, PbxState
from bridge.core.outputs.consumer import Consumer
from bridge.core.presentation import Presentation
from bridge.core.status import About, LinkState, Status
from bridge.core.topics import Topics
from bridge.core.value import Value


class View(Value, frozen=True):
    """All that can be published about one PBX, at one moment.

    `version`: that of the bridge. `calls`: how many run. `monitored`: of how many users the PBX reports the
    calls. `asking`: it has not answered for all of them yet. `on_standby`: at another than the first address.
    `presentation`: how parties of calls are shown.
    `home`: what the PBX is in a system of several.
    """

    topics: Topics
    version: str
    state: PbxState
    status: Status
    about: About
    calls: int
    monitored: int
    asking: bool
    takeovers: int
    on_standby: bool
    now: Instant
    presentation: Presentation
    home: Home | None = None

    @property
    def online(self) -> bool:
        """The PBX session is up and the list of users complete."""
        return self.status.link is LinkState.ONLINE

    @property
    def settled(self) -> bool:
        """The running calls of all users are known, not only the users."""
        return self.online and self.state.calls_known


def _nothing(_view: View) -> Iterable[Message]:
    return ()


def _no_topics(_view: View, _topic_id: str) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Output:
    """One kind of messages, as functions of values; the mirror sends, keeps, refreshes and erases them.

    `news`: what to publish, given what was published last, what is true now, and the changes between. A
    message that is not retained is an event: numbered and queued. Those on `user/+/event` survive a restart.
    `tree`: all that must be retained now, for a new broker session.
    `topics_of_user`: the retained topics of a user, by its topic id, in a view in which it may still be. They
    are erased when the user is gone, also when that happened while the bridge was down.
    `consumer`: the program that these topics are for, if they are outside of our tree.
    """

    news: Callable[[View, View, Changes], Iterable[Message]]
    tree: Callable[[View], Iterable[Message]] = _nothing
    topics_of_user: Callable[[View, str], Iterable[str]] = _no_topics
    consumer: Callable[[Topics], Consumer | None] = lambda _: None
