"""One PBX on the bus: joins the PBX side, the broker side, the commander and the mirror between them.

Links share nothing. A link speaks no protocol itself: its two sides open sessions with what they are given.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from random import random

from bridge.core.backend import OpenPbx, at_any_time
from bridge.core.backoff import delays
from bridge.core.commands.verb import Action
from bridge.core.commands.verbs.resync import Resync
from bridge.core.journal import Journal
from bridge.core.liveness import MQTT, OUTBOX, POLL, Deadlines, Liveness
from bridge.core.message import Incoming, Json
from bridge.core.model import Instant
from bridge.core.outbox import Limits, Outbox
from bridge.core.outputs import OUTPUTS
from bridge.core.outputs.output import Output
from bridge.core.restore import Memory, remembered
from bridge.core.rules import Scope
from bridge.core.standby import ONE, AddressChoice, Addresses
from bridge.core.status import Down, LinkFigures, LinkState
from bridge.core.topics import Topics
from bridge.errors import Crashed, LinkError, Unreachable
from bridge.link.broker import Brokers, BrokerSide, Dialer
from bridge.link.commander import Commander
from bridge.link.consumers import Consumers
from bridge.link.earlier import EarlierRun
from bridge.link.mirror import Mirror
from bridge.link.pbx import Later, PbxSide
from bridge.link.performer import CommandSettings
from bridge.link.standby import WayBack
from bridge.link.supervise import NEEDS_A_HUMAN_S, Up, supervise
from bridge.link.survey import Survey, survey
from bridge.ops.bugs import REASON
from bridge.ops.health import LinkStatus
from bridge.ops.observer import Observer

FLUSH_S = 1.0
LOOK_AT_MOST_S = 15.0


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The settings of one run of a link.

    `epoch` identifies the run. `end_grace_s`: how long the end of a call may arrive after the PBX has said
    that the user has no channel left. `pbxs`, `brokers`: the addresses of both sides.
    """

    epoch: str
    topics: Topics
    scope: Scope
    outbox: Limits
    commands: CommandSettings
    deadlines: Deadlines
    end_grace_s: float
    outputs: tuple[Output, ...] = OUTPUTS
    pbxs: Addresses = ONE
    brokers: Addresses = ONE


class Link:
    """One PBX on the bus. `run` serves it until `stop` is called."""

    def __init__(
        self,
        settings: LinkSettings,
        open_pbx: OpenPbx,
        dialers: Sequence[Dialer],
        *,
        observer: Observer,
        clock: Callable[[], Instant],
        later: Later,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._open_pbx = open_pbx
        self._choices = {"pbx": AddressChoice(settings.pbxs), "mqtt": AddressChoice(settings.brokers)}
        self._observer = observer
        self._clock = clock
        self._journal = journal
        self._stop = asyncio.Event()
        self._clear = self._crashed = False
        self._measured: LinkFigures | None = None
        self._liveness = Liveness(settings.deadlines, clock().monotonic_s)
        self.outbox = Outbox(
            settings.outbox, journal.event_done, held=lambda: journal.behind, signal=asyncio.Event()
        )
        self.mirror = Mirror(
            settings.topics,
            settings.scope,
            self.outbox,
            epoch=settings.epoch,
            clock=clock,
            journal=journal,
            outputs=settings.outputs,
        )
        self._pbx = self._new_pbx_side(open_pbx, later)
        self._commander = self._new_commander(settings.commands)
        self._broker = self._new_broker_side(dialers, self._new_earlier_run(later))
        self._way_back = self._new_way_back()
        journal.on_kept(self.outbox.recheck)

    def _new_pbx_side(self, open_pbx: OpenPbx, later: Later) -> PbxSide:
        return PbxSide(
            open_pbx,
            self.mirror,
            self._journal,
            observer=self._observer,
            alive=lambda: self._liveness.alive(POLL, self._clock().monotonic_s),
            later=later,
            end_grace_s=self._settings.end_grace_s,
        )

    def _new_commander(self, settings: CommandSettings) -> Commander:
        return Commander(
            self.mirror,
            settings,
            self._journal,
            session=lambda: self._pbx.session,
            clock=self._clock,
            events=self._observer.commands,
        )

    def _new_earlier_run(self, later: Later) -> EarlierRun:
        limited = self._observer.broker.limited
        consumers = Consumers(self.mirror, later=later, random=random, limited=limited)
        return EarlierRun(self.mirror, self._restore(), consumers, observer=self._observer, clock=self._clock)

    def _new_way_back(self) -> WayBack:
        choice = self._choices["pbx"]
        return WayBack(
            choice,
            look=self._look_at_primary,
            calm=lambda: self._commander.idle and not self._figures.calls,
            clock=lambda: self._clock().monotonic_s,
            said=lambda: self._observer.returns("pbx", choice.primary),
        )

    def _new_broker_side(self, dialers: Sequence[Dialer], earlier: EarlierRun) -> BrokerSide:
        return BrokerSide(
            Brokers(dialers, self._choices["mqtt"], calm=lambda: self._commander.idle),
            self.mirror,
            earlier,
            observer=self._observer,
            clock=self._clock,
            arrived=self._arrived,
            liveness=self._liveness,
        )

    @property
    def ready(self) -> bool:
        """Whether the broker delivers what the link publishes."""
        return self._broker.effective

    def stop(self, *, clear: bool = False) -> None:
        """Let `run` end. With `clear`, erase everything retained of this PBX."""
        self._clear = clear
        self._stop.set()

    def crash(self) -> None:
        """Let `run` raise Crashed: a callback of this link had a bug, which has been reported already."""
        self._crashed = True
        self._stop.set()

    async def run(self) -> None:
        """Serve until `stop`, then publish `offline` and end the PBX session, within about two seconds.

        A bug in any part ends the link and is raised, after `offline` has been published all the same.
        """
        parts = (
            asyncio.create_task(self._supervised("pbx", self._pbx_session), name="pbx"),
            asyncio.create_task(self._supervised("mqtt", self._broker.session), name="mqtt"),
            asyncio.create_task(self._commander.run(), name="commands"),
        )
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._bug(parts) is None:
                await self._leave(parts[0], parts[2], LinkState.STOPPED, "the bridge was stopped")
            else:
                # The bug may be in what publishes `offline`. In that case the broker sends the Last Will.
                with contextlib.suppress(Exception):
                    await self._leave(parts[0], parts[2], LinkState.REJECTED, REASON)
        finally:
            self._pbx.close()
            for task in (*parts, stopping):
                task.cancel()
            await asyncio.gather(*parts, stopping, return_exceptions=True)
            self._leave_journal()
            await self._journal.closed()
        bug = self._bug(parts)
        if bug is not None:
            raise bug

    async def _leave(
        self, pbx: asyncio.Task[None], commands: asyncio.Task[None], link: LinkState, reason: str
    ) -> None:
        """Publish the last status, and end the PBX session while the broker takes it."""
        commands.cancel()
        self.mirror.set_status(link, reason)
        said = asyncio.create_task(self._broker.flush(FLUSH_S), name="said")
        if self._pbx.session is not None and link is LinkState.STOPPED:
            await self._pbx.session.rest()
        pbx.cancel()
        await asyncio.gather(pbx, said, return_exceptions=True)
        if self._clear:
            self.mirror.erase_tree()
            await self._broker.flush(FLUSH_S)

    def _leave_journal(self) -> None:
        """Close the journal. It keeps the states that belong to the events that are still waiting.

        The next link publishes those events, and compares the PBX with these states.
        """
        try:
            if self._broker.earlier.remembers.is_set():
                self._journal.leave(self.mirror.states)
        finally:  # reading the states may fail after a bug, and the file must be closed all the same
            self._journal.close()

    def _bug(self, parts: Iterable[asyncio.Task[None]]) -> BaseException | None:
        """The bug that ended a part of this link, if one did: no part ends without one."""
        ended = [part for part in parts if part.done() and not part.cancelled()]
        found = next((bug for part in ended if (bug := part.exception()) is not None), None)
        return Crashed(REASON) if found is None and self._crashed else found

    async def ask(self, action: Action) -> Json:
        """Ask the PBX for what changes nothing. Raises LinkError and CommandError."""
        session = self._pbx.session
        if session is None:
            raise Unreachable(f"the PBX '{self._settings.topics.pbx}' has no session")
        return await session.perform(action, command_id=None, in_time=at_any_time)

    async def at_home(self, *locations: str) -> None:
        """The users of these locations are at home at this PBX: a new list brings them."""
        for location in locations:
            self.mirror.knows_itself_as(location)
        await self.ask(Resync())

    @property
    def pulse(self) -> object:
        """Equal to the last one while nothing happens; None while the broker has to be judged."""
        outbox = self.outbox
        if outbox.connected and not (outbox.idle and self.ready):
            return None
        waiting = len(outbox), outbox.dropped.total()
        return self.mirror.status, outbox.taken, waiting, self._observer.news, self._observer.pbx.polled_s

    def measure(self) -> None:
        """Update the gauges, and commit to the journal what the broker has acknowledged."""
        self._broker.look()
        self.mirror.tidy()
        self._journal.commit()
        self.outbox.recheck()  # a disk that hangs holds nothing back for longer than its limit
        self._measured = self._figures
        self._observer.measure(self._measured)

    @property
    def status(self) -> LinkStatus:
        """The status of the link for pages and `status`, as it was measured last."""
        return self._observer.status(self._measured or self._figures)

    @property
    def _figures(self) -> LinkFigures:
        return self.mirror.figures(self._broker.inbound_dropped)

    def stuck(self) -> tuple[str, ...]:
        """The parts of this link that make no progress although nothing that they wait for is down."""
        now_s = self._clock().monotonic_s
        if self._broker.heard_s is not None:
            self._liveness.alive(MQTT, self._broker.heard_s)
        if not self._broker.earlier.remembers.is_set():
            self._liveness.alive(POLL, now_s)
        if self.outbox.idle or not self.outbox.connected:
            self._liveness.alive(OUTBOX, now_s)
        stuck = self._liveness.stuck(now_s)
        self._observer.stuck(stuck)
        return stuck

    def _restore(self) -> Memory:
        """Restore what an earlier run kept: its events and replies at once, its user states as a memory.

        The memory is compared with the broker's retained states later. The file may have been tampered with,
        so an event on a topic of another PBX is dropped.
        """
        now, kept = self._clock(), self._journal.kept()
        for event in kept.events:
            if self._settings.topics.user_in_event(event.message.topic) is None:
                self._journal.event_done(event.number)
            else:
                self.outbox.put_back(event.number, event.message, now.seconds_at(event.unix_ms))
        self._commander.restore(kept)
        scope = self._settings.scope
        users = {topic: remembered(topic, payload, scope, now) for topic, payload in kept.users.items()}
        return Memory(users, kept.whole)

    def _arrived(self, incoming: Incoming) -> None:
        try:
            self._commander.offer(incoming)
        except Exception as bug:  # noqa: BLE001  (any client can send requests: a bug costs the request, not the link)
            self._observer.commands.crashed(bug)

    async def _supervised(self, side: str, session: Callable[[int, Up], Awaitable[None]]) -> None:
        choice = self._choices[side]

        async def attempt(number: int, up: Up) -> None:
            if choice.several:
                self._observer.chosen(side, choice.name, standby=choice.place > 0)
            await session(number, up)

        def elsewhere(cause: LinkError, lived_s: float | None) -> bool:
            return choice.down(cause, lived_s, self._clock().monotonic_s)

        await supervise(
            attempt,
            delays=partial(delays, random),
            flapping=partial(delays, random, longest_s=NEEDS_A_HUMAN_S),
            report=partial(self._report, side),
            elsewhere=elsewhere,
        )

    async def _pbx_session(self, _attempt: int, up: Up) -> None:
        place = self._choices["pbx"].place
        self.mirror.on_standby = place > 0
        await self._broker.earlier.has_read.wait()
        if not self._broker.earlier.remembers.is_set():
            users = await self._pbx.users(place, self._settings.scope.limits.users)
            await self._broker.earlier.recall(users)
        await self._way_back.beside(self._pbx.serve(place, up), self._pbx.leave)

    async def _look_at_primary(self) -> bool:
        """Whether the primary PBX lets us in."""
        with contextlib.suppress(LinkError):
            async with self._open_pbx(0) as session:
                return await survey(session, 0, Survey.begun, within_s=LOOK_AT_MOST_S)
        return False

    def _report(self, side: str, down: Down) -> None:
        self._observer.down(side, down)
        self._liveness.alive(POLL if side == "pbx" else MQTT, self._clock().monotonic_s)
        if side == "pbx":
            self.mirror.failed(down.cause)
