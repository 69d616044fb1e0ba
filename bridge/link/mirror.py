"""Holds the state of one PBX: folds batches into it, puts messages into the outbox and the journal.

Must not wait, open connections or render payloads; the outputs of core/outputs render.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial

from bridge import __version__
from bridge.core import fold, render
from bridge.core.away import Away
from bridge.core.commands.verbs import VERBS
from bridge.core.journal import Journal, KeptEvent, MemoryJournal
from bridge.core.message import Json, Message
from bridge.core.model import Call, Changes, Instant, PbxState
from bridge.core.monitoring import Monitoring
from bridge.core.outbox import Outbox
from bridge.core.outputs import OUTPUTS, link_state
from bridge.core.outputs.consumer import Consumer
from bridge.core.outputs.output import Output, View
from bridge.core.presentation import Presentation
from bridge.core.records import Batch
from bridge.core.restore import Remembered, restore
from bridge.core.rules import Scope
from bridge.core.status import About, LinkFigures, LinkState, Status
from bridge.core.topics import Topics
from bridge.core.value import evolve
from bridge.errors import LinkError, ProtocolError
from bridge.mqtt.encode import packed

NO_CHANGES = Changes()


class Mirror:
    """The state of one PBX. Every change of it is published through the outputs."""

    def __init__(
        self,
        topics: Topics,
        scope: Scope,
        outbox: Outbox,
        *,
        epoch: str,
        clock: Callable[[], Instant],
        journal: Journal | None = None,
        outputs: Sequence[Output] = OUTPUTS,
    ) -> None:
        self.topics = topics
        self.scope = scope
        self.outbox = outbox
        self.state = PbxState(epoch)
        self.about = About()
        self.monitoring = Monitoring()
        self.away = Away()
        self.takeovers = 0
        self.on_standby = False
        self._epoch = epoch
        self._clock = clock
        self._journal = journal or MemoryJournal()
        self._journal.on_lost(self._keep_all)
        self._erased: set[str] = set()
        self._elsewhere: frozenset[str] = frozenset()
        self._own_replies = frozenset(map(topics.response, VERBS))
        self.status = Status(LinkState.CONNECTING, "", clock().unix_ms, "")
        self._outputs = tuple(outputs)
        self._published = self._view()

    @property
    def online(self) -> bool:
        """The PBX session is up and the list of users complete."""
        return self.status.link is LinkState.ONLINE

    def restore(self, found: Mapping[str, Remembered | None]) -> None:
        """Start from the published states of an earlier run, and erase topics that are not ours."""
        self.state, strange = restore(self._epoch, found, self.scope, self._clock())
        view = self._view()
        for topic in strange:
            self._erase_user(topic, view)
        self._keep_all()

    def _keep_all(self) -> None:
        """Record the states of all users in the journal."""
        for topic_id, payload in self.states().items():
            self._journal.user(topic_id, payload)
        self._journal.commit()

    def states(self) -> Mapping[str, Json]:
        """The state payloads of all users by topic id, for the journal."""
        pbx, shown = self.topics.pbx, self.scope.presentation
        return {
            topic: render.user_state(self.state, pbx, guid, shown)
            for guid, topic in self.state.topics.items()
        }

    def tree(self) -> Iterator[Message]:
        """All that must be retained, in the order in which a new broker session hears it."""
        return self._tree(self._view())

    def _tree(self, view: View) -> Iterator[Message]:
        return (message for output in self._outputs for message in output.tree(view))

    def _topics_of_link(self, view: View) -> Iterator[str]:
        """The topics of the tree that belong to no user. To render all users for that would take seconds."""
        return (message.topic for message in self._tree(evolve(view, state=PbxState(self._epoch))))

    def _topics(self, view: View) -> Iterator[str]:
        """The topics of the tree, and those of its users that may be empty."""
        yield from self._topics_of_link(view)
        for topic_id in view.state.topics.values():
            yield from self._topics_of_user(topic_id, view)

    def refresh(self) -> None:
        """Queue all retained topics for a new broker session, before anything else."""
        view = self._view()
        tree, topics = map(packed, self._tree(view)), partial(self._topics, view)
        self.outbox.refresh(tree, view.now.monotonic_s, topics)

    def say_again(self, topics: AbstractSet[str]) -> None:
        """Publish these topics again. Those on which nothing must be retained are erased."""
        now_s = self._clock().monotonic_s
        tree = {message.topic: message for message in self.tree() if message.topic in topics}
        for topic in topics:
            self.outbox.put_state(packed(tree.get(topic, _erasure(topic))), now_s)

    def republish(self) -> None:
        """Publish all retained topics again: another client may have deleted them."""
        now_s = self._clock().monotonic_s
        for message in self.tree():
            self.outbox.put_state(packed(message), now_s)

    @property
    def consumers(self) -> tuple[Consumer, ...]:
        """The programs that outputs write for outside of our tree."""
        found = (output.consumer(self.topics) for output in self._outputs)
        return tuple(consumer for consumer in found if consumer is not None)

    def tell_consumers(self) -> None:
        """Publish all that the consumers read: one of them has just started."""
        view = self._view()
        for output in self._outputs:
            if output.consumer(self.topics) is not None:
                for message in output.tree(view):
                    self.outbox.put_state(packed(message), view.now.monotonic_s)

    def found_elsewhere(self, topics: AbstractSet[str]) -> None:
        """Topics of consumers that an earlier run wrote. Once the users are known, the others are erased."""
        self._elsewhere |= topics
        if self.online:
            self._erase_elsewhere()

    def _erase_elsewhere(self) -> None:
        """If a record of the list was unreadable, its user may exist: wait for the next list."""
        if not self._elsewhere or self.state.torn:
            return
        wanted = {message.topic for message in self.tree()}
        for topic in self._elsewhere - wanted:
            self.outbox.put_state(_erasure(topic), self._clock().monotonic_s)
        self._elsewhere = frozenset()

    def erase_tree(self) -> None:
        """Erase all that is retained: the bridge no longer serves this PBX."""
        view = self._view()
        for topic_id in self.state.topics.values():
            self._erase_user(topic_id, view)
        for topic in reversed(list(self._topics_of_link(view))):
            self.outbox.put_state(_erasure(topic), view.now.monotonic_s)
        self._journal.commit()

    def failed(self, cause: LinkError) -> None:
        """The PBX session failed: publish the reason."""
        link = LinkState.UNREACHABLE if cause.heals else LinkState.REJECTED
        self.set_status(link, self.on_bus(cause), detail=cause.reason)

    def on_bus(self, cause: LinkError) -> str:
        """The reason without addresses and accounts, which are not for the bus."""
        word = ProtocolError.on_bus if cause.answered and cause.heals else cause.on_bus
        return f"the PBX '{self.topics.pbx}' {word}"

    def set_status(self, link: LinkState, reason: str, *, detail: str = "") -> None:
        """Publish a new status. `detail`: the reason with addresses, for the log; by default the reason."""
        self.status = Status(link, reason, self._clock().unix_ms, detail or reason)
        if not link.has_session:
            self.monitoring.forget_answers()
        self._publish()

    def began(self, about: About) -> None:
        """A PBX session is open. It has to confirm all users and calls."""
        self.about = about
        self.away.began()
        self.knows_itself_as(about.location)
        self.state = fold.begin(self.state)
        self.monitoring.forget_answers()
        self.set_status(LinkState.SYNCING, "reading the list of users")

    def knows_itself_as(self, location: str) -> None:
        """A master calls itself so: the next list shows its users of this location, too."""
        if self.scope.home is not None:
            self.scope = replace(self.scope, home=self.scope.home.also(location))

    def reported(self, batch: Batch) -> Changes:
        """Fold one batch and publish the changes."""
        changes = self._apply(fold.fold(self.state, batch, self.scope, self._clock()))
        if self.scope.home is not None and self.scope.home.finds:
            self.away.reported(batch, self.scope)
        if batch.list_complete:
            self.set_status(LinkState.ONLINE, "")
            self._erase_elsewhere()
        return changes

    def reconcile(self, guid: str, ids: frozenset[str]) -> None:
        """Close these calls of a user, if the PBX still counts none."""
        self._apply(fold.reconcile(self.state, guid, ids, self.scope, self._clock()))

    def settled(self, guid: str) -> None:
        """The running calls of a user have been reported. Others are lost."""
        self._apply(fold.settle(self.state, (guid,), self.scope, self._clock()))

    def monitored(self, guid: str) -> None:
        """The PBX reports the calls of this user from now on."""
        self.monitoring.accept(guid)
        self._publish()

    def not_monitored(self, guid: str) -> None:
        """The PBX does not report the calls of this user. After the second refusal its old calls are lost."""
        if self.monitoring.refuse(guid):
            self._apply(fold.give_up(self.state, guid, self.scope, self._clock()))
        self._publish()

    def placed(self, guid: str, leg: int, command_id: str | None) -> str:
        """A command started a leg: return the id of its call."""
        state, changes, call_id = fold.place(self.state, guid, leg, command_id, self.scope, self._clock())
        self._apply((state, changes))
        return call_id

    def sent(self, guid: str, handle: int, command_id: str | None) -> str:
        """A command sent a text message: return the id of its events' call."""
        state, changes, message_id = fold.send(
            self.state, guid, handle, command_id, self.scope, self._clock()
        )
        self._apply((state, changes))
        return message_id

    def mark_hung_up(self, call: Call, *, hung_up: bool) -> None:
        """A command hangs up a call, or failed to."""
        self.state = fold.mark_hung_up(self.state, call, hung_up=hung_up)

    def mark_added(self, call: Call, digits: str) -> None:
        """A command adds digits to what a call dials."""
        self.state = fold.mark_added(self.state, call, digits)

    def contested(self) -> None:
        """Another client, or a delayed Last Will, overwrote our state topic: republish the correct value."""
        self.takeovers += 1
        self._publish()

    def present(self, presentation: Presentation) -> None:
        """Show parties of calls like this from now on, and publish the users again who look different."""
        alike = partial(presentation.shows_like, self.scope.presentation)
        self.scope = replace(self.scope, presentation=presentation)
        changed = (
            guid
            for guid, user in self.state.users.items()
            if not all(map(alike, filter(None, (*self.state.calls.get(guid, ()), user.last_call))))
        )
        self._publish(Changes(users=tuple(changed)))

    def says(self, payload: bytes) -> bool:
        """Tell whether the state topic must have this payload now."""
        return payload.decode(errors="replace") == link_state.word(online=self.online)

    def reply(self, message: Message) -> None:
        """Queue a reply to a command."""
        chosen = message.topic not in self._own_replies
        self.outbox.put_reply(packed(message), self._clock().monotonic_s, chosen=chosen)

    def erase_retained(self, topic: str) -> None:
        """Erase a retained message from a command topic."""
        self.outbox.put_erasure(topic, self._clock().monotonic_s)

    def _apply(self, transition: tuple[PbxState, Changes]) -> Changes:
        self.state, changes = transition
        # `info` counts monitored users. If it were rendered before this, a batch that adds users would first
        # publish that all users have been asked for.
        self.monitoring.apply(changes)
        self._publish(changes)
        return changes

    def _publish(self, changes: Changes = NO_CHANGES) -> None:
        """Queue, and record in the journal, all news since the last call."""
        before, after = self._published, self._view()
        self._published = after
        for topic_id in changes.gone:
            self._erase_user(topic_id, evolve(before, now=after.now))
        events = []
        for output in reversed(self._outputs):
            for message in output.news(before, after, changes):
                if message.retain:
                    self._put_state(message, after.now)
                else:
                    events.append(message)
        for message in events:  # whoever gets an event finds the state that belongs to it
            self._put_event(message, after.now)
        self._journal.commit()

    def _put_state(self, message: Message, now: Instant) -> None:
        ready = packed(message)
        topic_id = self.topics.user_in_state(message.topic)
        if topic_id is not None and isinstance(ready.payload, bytes):
            self._journal.user(topic_id, ready.payload)
        self.outbox.put_state(ready, now.monotonic_s)

    def _put_event(self, message: Message, now: Instant) -> None:
        ready = packed(message)
        number = self.outbox.put_event(ready, now.monotonic_s)
        self._journal.event(KeptEvent(number, ready, now.unix_ms))

    def _view(self) -> View:
        return View(
            topics=self.topics,
            version=__version__,
            state=self.state,
            status=self.status,
            about=self.about,
            calls=len(self.state.running),
            monitored=len(self.monitoring.monitored),
            asking=self.monitoring.pending,
            takeovers=self.takeovers,
            on_standby=self.on_standby,
            home=self.scope.home,
            now=self._clock(),
            presentation=self.scope.presentation,
        )

    def figures(self, inbound_dropped: Mapping[str, int]) -> LinkFigures:
        """The numbers for metrics and pages. `inbound_dropped`: dropped messages from the broker."""
        view = self._view()
        return LinkFigures(
            status=self.status,
            about=self.about,
            users=len(self.state.users),
            monitored=view.monitored,
            refused_users=len(self.monitoring.refused),
            calls=view.calls,
            takeovers=self.takeovers,
            broker_connected=self.outbox.connected,
            outbox=len(self.outbox),
            oldest_s=self.outbox.oldest_s,
            dropped={**inbound_dropped, **self.outbox.dropped},
        )

    def tidy(self) -> None:
        """Once the broker has acknowledged everything, the journal need not hold erased users any longer."""
        if self._erased and self.outbox.connected and self.outbox.idle:
            for topic_id in self._erased.difference(self.state.topics.values()):
                self._journal.user(topic_id, None)
            self._erased.clear()

    def _erase_user(self, topic_id: str, view: View) -> None:
        """Erase the topics of a user; the journal notes the time until the broker has acknowledged it.

        If the bridge is killed before that, a later run must not trust the state that is still retained.
        """
        topics = self._topics_of_user(topic_id, view)
        waits = [self.outbox.put_state(_erasure(topic), view.now.monotonic_s) for topic in topics]
        if any(waits):
            self._erased.add(topic_id)
            self._journal.user(topic_id, {"time": render.rfc3339(view.now.unix_ms)})
        else:
            self._journal.user(topic_id, None)

    def _topics_of_user(self, topic_id: str, view: View) -> list[str]:
        """The state comes last: while it is retained, a later run knows that the others must be erased."""
        of_outputs = (output.topics_of_user(view, topic_id) for output in reversed(self._outputs))
        return [topic for topics in of_outputs for topic in topics]


def _erasure(topic: str) -> Message:
    return Message(topic, None, retain=True)
