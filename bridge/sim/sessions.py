"""All SOAP sessions of a simulated PBX: open, find, end, orphan. session.py decides what each reports."""

import asyncio
from collections.abc import Callable

from bridge.sim.exchange import Exchange
from bridge.sim.model import Leg, SimUser
from bridge.sim.session import Habits, News, Session


class Sessions:
    """All sessions of a PBX. `lost` is called for calls that end with their session.

    `heard` is called for each change that a client has certainly received.
    """

    def __init__(self, exchange: Exchange, habits: Habits, lost: Callable[[Leg], None]) -> None:
        self._exchange = exchange
        self._habits = habits
        self._lost = lost
        self._sessions: dict[int, Session] = {}
        self.heard: Callable[[News], None] = lambda _: None
        self._next = 1
        self._next_handle = 1

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def up_to_date(self) -> bool:
        """There is a session, and every session's client has received everything."""
        return bool(self._sessions) and all(session.up_to_date for session in self._sessions.values())

    @property
    def heard_counts(self) -> dict[int, int]:
        """By session: how many changes its client has certainly received."""
        return {handle: session.heard_count for handle, session in self._sessions.items()}

    def mark(self) -> Callable[[], bool]:
        """A function that says whether the clients have received everything up to this moment.

        A session opened later must have sent its list. Unlike `up_to_date`, this becomes true while new
        changes keep coming.
        """
        marks = {session: session.queued for session in self._sessions.values()}

        def all_received() -> bool:
            sessions = self._sessions.values()
            return bool(sessions) and all(session.received(marks.get(session, 0)) for session in sessions)

        return all_received

    def open(self, user: SimUser, key: int) -> Session:
        """Open a session with the view of a user."""
        session = Session(self._next, key, user, self._exchange, self._habits)
        session.heard = self.heard
        self._next += 1
        self._sessions[session.handle] = session
        self._exchange.listeners.append(session)
        return session

    def get(self, handle: int) -> Session | None:
        """The session with this handle, while it is alive."""
        return self._sessions.get(handle)

    def new_handle(self) -> int:
        """A handle for a monitored user."""
        self._next_handle += 1
        return self._next_handle

    def monitored(self, handle: int) -> tuple[Session, str] | None:
        """The session that issued a user handle, and the user's guid."""
        for session in self._sessions.values():
            if handle in session.monitors:
                return session, session.monitors[handle].guid
        return None

    def close(self, session: Session, *, guard_s: float) -> None:
        """End a session; calls that it placed a moment ago are aborted (docs/wire.md#call-control)."""
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

    def forget_all(self) -> None:
        """Reboot: drop all sessions and restart the handles."""
        self.close_all()
        self._next = self._next_handle = 1

    def disconnected(self, connection: int) -> list[Session]:
        """A TCP connection closed; returns the sessions that have none left."""
        orphans = []
        for session in self._sessions.values():
            if connection in session.connections:
                session.connections.discard(connection)
                orphans += [] if session.connections else [session]
        return orphans
