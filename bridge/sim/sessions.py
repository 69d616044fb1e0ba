"""SOAP sessions of a simulated PBX: scope, handles, queued news, the held Poll. No HTTP, no XML here."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bridge.sim.exchange import Exchange
from bridge.sim.model import Leg, LegNews, SimUser, UserNews

News = UserNews | LegNews


@dataclass(frozen=True, slots=True)
class Habits:
    """How this PBX delivers news: seconds a Poll is held, and news in one reply at most."""

    hold_s: float = 60.0
    batch: int = 50


class Session:
    """One session: hears the exchange, queues what its user may see, answers Polls."""

    def __init__(self, handle: int, key: int, user: SimUser, exchange: Exchange, habits: Habits) -> None:
        self.handle = handle
        self.key = key
        self.follows: dict[int, str] = {}
        self.fresh_calls: list[tuple[float, Leg]] = []
        self.connections: set[int] = set()
        self.alive = True
        self._cn = user.cn
        self._exchange = exchange
        self._habits = habits
        self._news: deque[News] = deque()
        self._wake = asyncio.Event()
        self._shown: set[str] = set()
        self._list()

    def visible(self, user: SimUser) -> bool:
        """All members of the groups in which our user is active; without one only the user (6, 7)."""
        own = self._exchange.users.get(self._cn)
        active = {name for name, is_active in own.groups if is_active} if own else set()
        if not active:
            return user.cn == self._cn
        return not user.hidden and any(name in active for name, _ in user.groups)

    def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool) -> None:
        """Queue a change of a user; one that left the scope is reported once more, as gone."""
        seen = self.visible(user) and not gone
        if not seen and user.id not in self._shown:
            return
        (self._shown.add if seen else self._shown.discard)(user.id)
        self._queue(UserNews(user, channel, alert, gone=not seen))

    def leg_changed(self, leg: Leg, message: str) -> None:
        """Queue a change of a leg, for each handle that follows its user."""
        for handle, guid in self.follows.items():
            if guid == leg.guid:
                self._queue(_leg_news(handle, leg, message))

    def follow(self, handle: int, user: SimUser) -> None:
        """Follow a user; the calls it has are reported as they stand (wire reference 10.7)."""
        self.follows[handle] = user.id
        for leg in self._exchange.legs.values():
            if leg.guid == user.id:
                self._queue(_leg_news(handle, leg, "update"))

    async def poll(self) -> tuple[list[UserNews], list[LegNews]]:
        """What is new, at once or when something happens; nothing after the time a Poll is held."""
        try:
            async with asyncio.timeout(self._habits.hold_s):
                while not self._news and self.alive:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return [], []
        taken = [self._news.popleft() for _ in range(min(self._habits.batch, len(self._news)))]
        users = [news for news in taken if isinstance(news, UserNews)]
        return users, [news for news in taken if isinstance(news, LegNews)]

    def end(self) -> None:
        """The session is gone; a Poll that is held returns."""
        self.alive = False
        self._wake.set()

    def _list(self) -> None:
        """The first list, then the record that ends it (wire reference 8)."""
        for user in sorted(self._exchange.users.values(), key=lambda user: user.cn):
            if self.visible(user):
                self._shown.add(user.id)
                channel, alert = self._exchange.counts(user.id)
                self._queue(UserNews(user, channel, alert))
        self._queue(UserNews(SimUser(""), end_of_list=True))

    def _queue(self, news: News) -> None:
        self._news.append(news)
        self._wake.set()


class Sessions:
    """All sessions of a PBX. `lost` hears of calls that die with their session."""

    def __init__(self, exchange: Exchange, habits: Habits, lost: Callable[[Leg], None]) -> None:
        self._exchange = exchange
        self._habits = habits
        self._lost = lost
        self._sessions: dict[int, Session] = {}
        self._next = 1
        self._next_handle = 1

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, user: SimUser, key: int) -> Session:
        """A new session that sees what a user sees."""
        session = Session(self._next, key, user, self._exchange, self._habits)
        self._next += 1
        self._sessions[session.handle] = session
        self._exchange.listeners.append(session)
        return session

    def get(self, handle: int) -> Session | None:
        """The session with this handle, while it lives."""
        return self._sessions.get(handle)

    def new_handle(self) -> int:
        """A handle for a followed user."""
        self._next_handle += 1
        return self._next_handle

    def following(self, handle: int) -> tuple[Session, str] | None:
        """The session that gave out a user handle, and the user's guid."""
        for session in self._sessions.values():
            if handle in session.follows:
                return session, session.follows[handle]
        return None

    def close(self, session: Session, *, guard_s: float) -> None:
        """End a session; calls it placed a moment ago are aborted (wire reference 12)."""
        self._sessions.pop(session.handle, None)
        if session in self._exchange.listeners:
            self._exchange.listeners.remove(session)
        session.end()
        now = asyncio.get_running_loop().time()
        for placed, leg in session.fresh_calls:
            if now - placed < guard_s and not leg.over:
                self._lost(leg)

    def close_all(self, *, guard_s: float = 0.0) -> None:
        """End all sessions."""
        for session in list(self._sessions.values()):
            self.close(session, guard_s=guard_s)

    def disconnected(self, connection: int) -> list[Session]:
        """A TCP connection closed: the sessions that have none left."""
        orphans = []
        for session in self._sessions.values():
            if connection in session.connections:
                session.connections.discard(connection)
                orphans += [] if session.connections else [session]
        return orphans


def _leg_news(handle: int, leg: Leg, message: str) -> LegNews:
    return LegNews(
        follow=handle,
        leg=leg.number,
        state=leg.word,
        numbers=tuple(leg.numbers),
        message=message,
        conf=leg.conf,
        cause=leg.cause,
        uui=leg.uui,
        active=not leg.over,
    )
