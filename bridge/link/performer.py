"""Has the PBX perform one command whose turn has come, and says how it went. Sends no reply."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bridge.core.backend import InTime, PbxSession
from bridge.core.commands import checks
from bridge.core.commands.answer import Answer
from bridge.core.commands.permissions import Permissions
from bridge.core.commands.verb import Action, CallAction, Context
from bridge.core.commands.verbs import VERBS
from bridge.core.commands.verbs.clear import HangUp
from bridge.core.commands.verbs.resync import Resync
from bridge.core.message import Json
from bridge.core.model import Instant
from bridge.core.privacy import OPEN, Privacy
from bridge.errors import CommandError, LinkError, Unreachable
from bridge.link.command_ids import Accepted, CommandIds
from bridge.link.mirror import Mirror


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """What the configuration says of commands. Rates are per minute; the cause is a Q.850 code."""

    permissions: Permissions = field(default_factory=Permissions)
    per_minute: int = 60
    calls_per_user: int = 10
    clear_cause: int = 26
    response_topics: tuple[str, ...] = ()
    privacy: Privacy = OPEN


class Performer:
    """Performs one command after another. `session` gives the open PBX session, if any."""

    def __init__(
        self,
        mirror: Mirror,
        settings: CommandSettings,
        ids: CommandIds,
        *,
        session: Callable[[], PbxSession | None],
        clock: Callable[[], Instant],
        crashed: Callable[[Exception], None],
    ) -> None:
        self._mirror = mirror
        self._settings = settings
        self._ids = ids
        self._session = session
        self._clock = clock
        self._crashed = crashed

    async def answer(self, accepted: Accepted) -> Answer:
        """Carry a command out; whatever happens, there is an answer."""
        address = accepted.request.address
        try:
            return Answer(address, result=await self._carry_out(accepted))
        except CommandError as error:
            return Answer.refusing(address, error)
        except (TimeoutError, Unreachable):
            return Answer(address, "timeout", "the PBX did not answer in time")
        except LinkError as error:
            return Answer(address, "pbx_error", self._mirror.on_bus(error), detail=error.reason)
        except Exception as bug:  # noqa: BLE001  (requests come from anybody: a bug must not end all links)
            self._crashed(bug)
            return Answer(address, "pbx_error", "a bug in the bridge; see its log")

    async def _carry_out(self, accepted: Accepted) -> Json:
        """Plan it on the state of this moment, note its id, ask the PBX."""
        left_s = partial(self._left_s, accepted)
        left_s()
        action = checks.plan(accepted.request, self._context(), self._settings.permissions.dialling)
        session = self._require_session()
        _require_confirmed(action)
        await self._ids.note(accepted, left_s())
        self._require_same(session)
        async with asyncio.timeout(left_s()):
            answer = await self._perform(session, action, accepted.request.id, left_s)
        verb = VERBS[accepted.request.verb]
        return verb.render(self._context(), accepted.request.fields, answer)

    async def _perform(
        self, session: PbxSession, action: Action, command_id: str | None, in_time: InTime
    ) -> Json:
        """Ask the PBX. What some of the actions mean for the state is said here."""
        if isinstance(action, Resync):
            self._mirror.republish()
        if isinstance(action, HangUp):
            # Before the PBX is asked: the last event of the leg may come before the answer.
            self._mirror.mark_hung_up(action.call, hung_up=True)
        if isinstance(action, CallAction) and action.added:
            # Also if it fails: without an answer nobody knows whether the digits were dialled.
            self._mirror.mark_added(action.call, action.added)
        try:
            return await session.perform(action, command_id=command_id, in_time=in_time)
        except (LinkError, CommandError):
            if isinstance(action, HangUp):
                self._mirror.mark_hung_up(action.call, hung_up=False)
            raise

    def _context(self) -> Context:
        mirror = self._mirror
        return Context(mirror.state, mirror.topics.pbx, self._settings.clear_cause, mirror.scope)

    def _left_s(self, accepted: Accepted) -> float:
        return accepted.deadline.left_s(self._clock())

    def _require_session(self) -> PbxSession:
        session = self._session()
        if session is None or not self._mirror.online:
            status = self._mirror.status
            sentence = f"the PBX is {status.link}: {status.reason}"
            raise CommandError("pbx_offline", sentence, retryable=True, detail=status.detail)
        return session

    def _require_same(self, session: PbxSession) -> None:
        """A handle of a session that has ended means nothing, or something else, in the next session."""
        if self._session() is not session:
            raise CommandError("pbx_offline", "the PBX session has just ended", retryable=True)


def _require_confirmed(action: Action) -> None:
    """A call whose leg the PBX has not named in this session cannot be acted on."""
    if any(call.leg_handle is None for call in action.calls):
        raise CommandError("unknown_call", "the PBX has not confirmed this call yet", retryable=True)
