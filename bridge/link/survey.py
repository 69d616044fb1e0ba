"""Serves a PBX session for as long as a question about its users takes. Publishes and keeps nothing."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TypeVar

from bridge.core.backend import IgnoreEvents, PbxSession, at_any_time
from bridge.core.commands.verb import Action
from bridge.core.message import Json
from bridge.core.records import Batch, UserRecord
from bridge.core.status import About
from bridge.errors import SessionLost

Answer = TypeVar("Answer")
Question = Callable[["Survey"], Coroutine[None, None, Answer]]


class Survey(IgnoreEvents):
    """What a session has reported so far: the PBX, and its users by guid, at most `most` of them.

    `refusal`: why the PBX does not report the calls, or the forwards, of the user that was asked for last.
    """

    def __init__(self, session: PbxSession, most: int) -> None:
        self.about = About()
        self.users: dict[str, UserRecord] = {}
        self.refusal = ""
        self._session = session
        self._most = most
        self._begun, self._complete = asyncio.Event(), asyncio.Event()
        self._answers: dict[str, asyncio.Future[bool]] = {}
        self._forwards: asyncio.Future[bool] | None = None

    async def begun(self) -> bool:
        """The PBX has let us in."""
        return await self._begun.wait()

    async def listed(self) -> Sequence[UserRecord]:
        """The users, once the list is complete."""
        await self._complete.wait()
        return tuple(self.users.values())

    async def may_monitor(self, user: UserRecord) -> bool:
        """Ask the PBX to report the calls of one user, for as long as the session lives."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._answers[user.guid] = answer
        self._session.monitor(user.guid, user.name, urgent=False)
        return await answer

    async def reads_forwards(self, user: UserRecord) -> bool:
        """Ask the PBX for the forwards of one user."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._forwards = answer
        self._session.read_forwards(user.guid, user.name)
        return await answer

    async def ask(self, action: Action) -> Json:
        """Ask for what changes nothing. Raises LinkError and CommandError."""
        return await self._session.perform(action, command_id=None, in_time=at_any_time)

    def began(self, about: About) -> None:
        """The session is open (PbxEvents)."""
        self.about = about
        self._begun.set()

    def reported(self, batch: Batch) -> None:
        """Users changed (PbxEvents)."""
        for record in batch.users:
            if len(self.users) < self._most or record.guid in self.users:
                self.users[record.guid] = record
        if batch.list_complete:
            self._complete.set()
        if batch.forwards:
            self._answer_forwards(read=True)

    def monitored(self, guid: str) -> None:
        """The PBX agreed (PbxEvents)."""
        self._answer(guid, agreed=True)

    def not_monitored(self, guid: str, name: str, reason: str) -> None:
        """The PBX refused (PbxEvents)."""
        del name
        self.refusal = reason
        self._answer(guid, agreed=False)

    def forwards_unread(self, name: str, reason: str) -> None:
        """The PBX tells none (PbxEvents)."""
        del name
        self.refusal = reason
        self._answer_forwards(read=False)

    def _answer_forwards(self, *, read: bool) -> None:
        if self._forwards is not None and not self._forwards.done():
            self._forwards.set_result(read)

    def _answer(self, guid: str, *, agreed: bool) -> None:
        answer = self._answers.pop(guid, None)
        if answer is not None and not answer.done():
            answer.set_result(agreed)


async def survey(session: PbxSession, most: int, question: Question[Answer], *, within_s: float) -> Answer:
    """Serve a session until a question is answered. Raises a LinkError when the session ends first."""
    heard = Survey(session, most)
    serving = asyncio.create_task(session.serve(heard), name="survey")
    answer = asyncio.create_task(question(heard), name="question")
    try:
        await asyncio.wait({serving, answer}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if serving.done():
            serving.result()
        raise SessionLost(f"the PBX did not answer within {within_s:g} s: its list of users is incomplete")
    finally:
        serving.cancel()
        answer.cancel()
        await asyncio.gather(serving, answer, return_exceptions=True)
