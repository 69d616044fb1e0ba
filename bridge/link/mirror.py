"""What we know of one PBX, and the messages that tell it: state in, outbox out. No I/O of its own."""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from bridge import __version__
from bridge.core import fold, render
from bridge.core.commands.verbs import VERBS
from bridge.core.journal import Journal, KeptEvent, MemoryJournal
from bridge.core.message import Json, Message
from bridge.core.model import Call, Changes, Event, Instant, PbxState
from bridge.core.monitoring import Monitoring
from bridge.core.outbox import Outbox
from bridge.core.records import Batch
from bridge.core.restore import Remembered, restore
from bridge.core.rules import Scope
from bridge.core.status import About, LinkFigures, LinkState, Status
from bridge.core.topics import Topics
from bridge.errors import LinkError, ProtocolError


class Mirror:
    """Keeps the state of one PBX and puts every change of it into the outbox."""

    def __init__(
        self,
        topics: Topics,
        scope: Scope,
        outbox: Outbox,
        *,
        epoch: str,
        clock: Callable[[], Instant],
        journal: Journal | None = None,
    ) -> None:
        self.topics = topics
        self.scope = scope
        self.outbox = outbox
        self.state = PbxState(epoch)
        self.about = About()
        self.monitoring = Monitoring()
        self.takeovers = 0
        self._epoch = epoch
        self._clock = clock
        self._journal = journal or MemoryJournal()
        self._journal.on_lost(self._keep_all)
        self._erased: set[str] = set()
        self._own_replies = frozenset(map(topics.response, VERBS))
        self.status = Status(LinkState.CONNECTING, "", clock().unix_ms, "")
        self._told = self._counts()

    @property
    def online(self) -> bool:
        """The PBX session is up and the list of users complete."""
        return self.status.link is LinkState.ONLINE

    def restore(self, found: Mapping[str, Remembered | None]) -> None:
        """Start from what we told the world in an earlier run; clear what is not ours."""
        now = self._clock()
        self.state, strange = restore(self._epoch, found, self.scope, now)
        for topic in strange:
            self._erase_user(topic, now)
        self._keep_all()

    def _keep_all(self) -> None:
        """Say the states of all users to the journal."""
        for topic_id, payload in self.states().items():
            self._journal.user(topic_id, payload)
        self._journal.commit()

    def states(self) -> Mapping[str, Json]:
        """The state of each user, by topic id."""
        return {topic_id: self._user_payload(guid) for guid, topic_id in self.state.topics.items()}

    def tree(self) -> list[Message]:
        """All that is retained, in the order in which a new broker session must hear it."""
        users = (self._user_message(guid) for guid in self.state.users)
        return [self._state_message(), self._info_message(self._clock()), *users]

    def say_again(self, topics: AbstractSet[str]) -> None:
        """Put what must be retained on these topics into the outbox again; nothing belongs on the others."""
        now = self._clock()
        tree = {message.topic: message for message in self.tree()}
        for topic in topics:
            self._put_state(tree.get(topic, Message(topic, None, retain=True)), now)

    def republish(self) -> None:
        """Send all that is retained again: somebody may have deleted it at the broker."""
        now = self._clock()
        for message in self.tree():
            self._put_state(message, now)

    def erase_tree(self) -> None:
        """Take all that is retained off the broker: this PBX is served no more."""
        now = self._clock()
        for topic_id in self.state.topics.values():
            self._erase_user(topic_id, now)
        for topic in (self.topics.info, self.topics.state):
            self._put_state(Message(topic, None, retain=True), now)
        self._journal.commit()

    def failed(self, cause: LinkError) -> None:
        """Say that there is no PBX session."""
        link = LinkState.UNREACHABLE if cause.heals else LinkState.REJECTED
        self.set_status(link, self.on_bus(cause), detail=cause.reason)

    def on_bus(self, cause: LinkError) -> str:
        """What everybody may know of a failure of the PBX: not where it is, nor as whom we log in."""
        word = ProtocolError.on_bus if cause.answered and cause.heals else cause.on_bus
        return f"the PBX '{self.topics.pbx}' {word}"

    def set_status(self, link: LinkState, reason: str, *, detail: str = "") -> None:
        """Say what the link is doing; without a `detail` the reason is all that there is to say."""
        now = self._clock()
        self.status = Status(link, reason, now.unix_ms, detail or reason)
        if not link.has_session:
            self.monitoring.forget_answers()
        self._put_state(self._state_message(), now)
        self._put_state(self._info_message(now), now)

    def began(self, about: About) -> None:
        """A new PBX session: everything is to be confirmed."""
        self.about = about
        self.state = fold.begin(self.state)
        self.monitoring.forget_answers()
        self.set_status(LinkState.SYNCING, "reading the list of users")

    def reported(self, batch: Batch) -> Changes:
        """Fold one batch and tell what it changed."""
        changes = self._apply(fold.fold(self.state, batch, self.scope, self._clock()))
        if batch.list_complete:
            self.set_status(LinkState.ONLINE, "")
        return changes

    def reconcile(self, guid: str, ids: frozenset[str]) -> None:
        """Close these calls of a user, if the PBX still counts none."""
        self._apply(fold.reconcile(self.state, guid, ids, self.scope, self._clock()))

    def settled(self, guid: str) -> None:
        """The calls of a user that the PBX did not name again are lost."""
        self._apply(fold.settle(self.state, (guid,), self.scope, self._clock()))

    def monitored(self, guid: str) -> None:
        """The PBX gave a handle: it reports this user's calls."""
        self.monitoring.accept(guid)
        self._tell_counts()

    def not_monitored(self, guid: str) -> None:
        """The PBX gave no handle. After a second time nobody will tell how this user's old calls ended."""
        if self.monitoring.refuse(guid):
            self._apply(fold.give_up(self.state, guid, self.scope, self._clock()))
        self._tell_counts()

    def placed(self, guid: str, leg: int, command_id: str | None) -> str:
        """A command started a leg: the id of its call."""
        state, changes, call_id = fold.place(self.state, guid, leg, command_id, self.scope, self._clock())
        self._apply((state, changes))
        return call_id

    def mark_hung_up(self, call: Call, *, hung_up: bool) -> None:
        """A command of ours ends a call, or failed to."""
        self.state = fold.mark_hung_up(self.state, call, hung_up=hung_up)

    def contested(self) -> None:
        """Another bridge, or its late will, was on our topics: count it and say again what is true."""
        self.takeovers += 1
        now = self._clock()
        self._put_state(self._state_message(), now)
        self._put_state(self._info_message(now), now)

    def says(self, payload: bytes) -> bool:
        """Tell whether this is what our state topic must say now."""
        return payload.decode(errors="replace") == self._state_word

    def reply(self, message: Message) -> None:
        """Send a reply."""
        chosen = message.topic not in self._own_replies
        self.outbox.put_reply(message, self._clock().monotonic_s, chosen=chosen)

    def erase_retained(self, topic: str) -> None:
        """Delete a retained message from a command topic."""
        self.outbox.put_erasure(topic, self._clock().monotonic_s)

    def _apply(self, transition: tuple[PbxState, Changes]) -> Changes:
        self.state, changes = transition
        self.monitoring.apply(changes)  # before anything is rendered: `info` counts who is monitored
        now = self._clock()
        for topic in changes.gone:
            self._erase_user(topic, now)
        for guid in changes.users:
            topic_id, payload = self.state.topics[guid], self._user_payload(guid)
            self._journal.user(topic_id, payload)
            self._put_state(Message(self.topics.user_state(topic_id), payload, retain=True), now)
        for event in changes.events:
            self._put_event(event, now)
        self._journal.commit()
        self._tell_counts()
        return changes

    def _tell_counts(self) -> None:
        """Publish the counts when they have changed, but not with each user that the PBX is asked for."""
        if self._counts() != self._told:
            now = self._clock()
            self._put_state(self._info_message(now), now)

    @property
    def all_settled(self) -> bool:
        """The running calls of everybody are known, not only the users."""
        return self.online and not self.state.unsettled

    def _counts(self) -> tuple[int, int | None, int, bool]:
        """Users, those monitored (None while more are to be asked for), calls, and whether all is known."""
        calls = sum(len(calls) for calls in self.state.calls.values())
        monitored = None if self.monitoring.pending else len(self.monitoring.monitored)
        return len(self.state.users), monitored, calls, self.all_settled

    def figures(self, inbound_dropped: Mapping[str, int]) -> LinkFigures:
        """The numbers for metrics and pages; messages from the broker are dropped elsewhere."""
        users, _, calls, _ = self._counts()
        return LinkFigures(
            status=self.status,
            about=self.about,
            users=users,
            monitored=len(self.monitoring.monitored),
            refused_users=len(self.monitoring.refused),
            calls=calls,
            takeovers=self.takeovers,
            broker_connected=self.outbox.connected,
            outbox=len(self.outbox),
            oldest_s=self.outbox.oldest_s,
            dropped={**inbound_dropped, **self.outbox.dropped},
        )

    def tidy(self) -> None:
        """Forget which topics were cleared, once the broker has all that we told."""
        if self._erased and self.outbox.connected and self.outbox.idle:
            for topic_id in self._erased.difference(self.state.topics.values()):
                self._journal.user(topic_id, None)
            self._erased.clear()

    def _erase_user(self, topic_id: str, now: Instant) -> None:
        """Killed before the broker hears of it, we must not believe what is retained there: note the time."""
        erasure = Message(self.topics.user_state(topic_id), None, retain=True)
        if self.outbox.put_state(erasure, now.monotonic_s):
            self._erased.add(topic_id)
            self._journal.user(topic_id, {"time": render.rfc3339(now.unix_ms)})
        else:
            self._journal.user(topic_id, None)

    def _put_event(self, event: Event, now: Instant) -> None:
        payload = render.event(event, self._epoch, self.topics.pbx)
        message = Message(self.topics.user_event(event.user_topic), payload)
        self._journal.event(KeptEvent(self.outbox.put_event(message, now.monotonic_s), message, now.unix_ms))

    def _put_state(self, message: Message, now: Instant) -> None:
        self.outbox.put_state(message, now.monotonic_s)

    def _user_message(self, guid: str) -> Message:
        topic = self.topics.user_state(self.state.topics[guid])
        return Message(topic, self._user_payload(guid), retain=True)

    def _user_payload(self, guid: str) -> Json:
        return render.user_state(self.state, self.topics.pbx, guid)

    def _state_message(self) -> Message:
        return Message(self.topics.state, self._state_word, retain=True)

    @property
    def _state_word(self) -> str:
        return "online" if self.online else "offline"

    def _info_message(self, now: Instant) -> Message:
        self._told = self._counts()
        return Message(self.topics.info, self.info(now), retain=True)

    def info(self, now: Instant) -> Json:
        """The payload of the info topic."""
        users, _, calls, settled = self._counts()
        return {
            "schema": render.SCHEMA,
            "pbx": self.topics.pbx,
            "link": self.status.link,
            "reason": self.status.reason,
            "since": render.rfc3339(self.status.since_ms),
            "firmware": self.about.firmware,
            "serial": self.about.serial,
            "location": self.about.location,
            "users": users,
            "monitored": len(self.monitoring.monitored),
            "calls": calls,
            "settled": settled,
            "takeovers": self.takeovers,
            "bridge": __version__,
            "time": render.rfc3339(now.unix_ms),
        }
