"""One SOAP session: scope, handles, queued changes, the held Poll. No HTTP, no XML here."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from bridge.sim.exchange import Exchange
from bridge.sim.model import Leg, LegNews, SimUser, UserNews

News = UserNews | LegNews


@dataclass(frozen=True, slots=True)
class Habits:
    """How this PBX delivers changes: how long it holds a Poll, and how many changes one response has at most.

    `list_delay_s`: delay of the first list. `update_before_end`, `update_after_end`: an update of a listed
    user comes just before the end of the list, or after it in the same response (docs/wire.md#poll).
    """

    hold_s: float = 60.0
    batch: int = 50
    list_delay_s: float = 0.0
    update_before_end: bool = False
    update_after_end: bool = False


@dataclass(frozen=True, slots=True)
class Monitor:
    """A monitored user; wishes: xfer, disc. `silent`: no such device (docs/wire.md#monitoring)."""

    guid: str
    wishes: frozenset[str] = frozenset()
    silent: bool = False


class Session:
    """One session: listens to the exchange, queues what its user may see, answers Polls."""

    def __init__(self, handle: int, key: int, user: SimUser, exchange: Exchange, habits: Habits) -> None:
        self.handle = handle
        self.key = key
        self.monitors: dict[int, Monitor] = {}
        self.fresh_calls: list[tuple[float, Leg]] = []
        self.connections: set[int] = set()
        self.alive = True
        self.heard: Callable[[News], None] = lambda _: None
        self._last: list[News] = []
        self._held = False
        self._own = user.id
        self._exchange = exchange
        self._habits = habits
        self._news: deque[News] = deque()
        self.queued = 0
        self._listed: int | None = None
        self._wake = asyncio.Event()
        self._shown: set[str] = set()
        if habits.list_delay_s:
            exchange.later(habits.list_delay_s, self._list)
        else:
            self._list()

    @property
    def up_to_date(self) -> bool:
        """The queue is empty and a Poll is held: the client has everything and polls again."""
        return self._held and not self._news

    @property
    def heard_count(self) -> int:
        """How many changes the client has certainly received."""
        return self.queued - len(self._news) - len(self._last)

    def received(self, count: int) -> bool:
        """The client has polled again after the list and after the first `count` changes."""
        return self._listed is not None and self.heard_count >= max(count, self._listed)

    def visible(self, user: SimUser) -> bool:
        """Members of groups in which the session user is active, or only itself (docs/wire.md#session)."""
        own = self._exchange.by_guid(self._own)
        active = {name for name, is_active in own.groups if is_active} if own else set()
        if not active:
            return user.id == self._own
        return not user.hidden and any(name in active for name, _ in user.groups)

    def user_changed(self, user: SimUser, channel: int, alert: int, *, gone: bool, cfg: bool) -> None:
        """Queue a change of a user; a user that left the scope is reported once more, as gone."""
        self._show(user, channel, alert, gone=gone, cfg=cfg)
        if user.id == self._own and cfg:
            for other in list(self._exchange.users.values()):
                if self.visible(other) != (other.id in self._shown):
                    self._show(other, *self._exchange.counts(other.id), gone=False, cfg=False)

    def leg_changed(self, leg: Leg, message: str, *, xfer: bool | None) -> None:
        """Queue a change of a leg for each handle that monitors its user."""
        for handle, monitor in self.monitors.items():
            if monitor.guid == leg.guid and not monitor.silent and xfer in {None, "xfer" in monitor.wishes}:
                self._queue(_leg_news(handle, leg, message))

    def wishes(self, guid: str) -> frozenset[str]:
        """The wishes with which the handles for a user were opened."""
        return frozenset(
            wish for monitor in self.monitors.values() if monitor.guid == guid for wish in monitor.wishes
        )

    def monitor(self, handle: int, monitor: Monitor) -> None:
        """Monitor a user and report its current calls (docs/wire.md#sequences)."""
        self.monitors[handle] = monitor
        for leg in self._exchange.legs.values():
            if leg.guid == monitor.guid and not monitor.silent and not leg.xfer_only:
                self._queue(_leg_news(handle, leg, "update"))

    def message_done(self, handle: int, number: int, *, cause: int | None = None) -> None:
        """Report that a text message was delivered, or why not (inferred); its number becomes invalid."""
        if handle in self.monitors:
            message = "msg-sent" if cause is None else "r-rel"
            self._queue(LegNews(handle, number, 0, (), message, "", cause, active=False))

    async def poll(self) -> tuple[list[UserNews], list[LegNews]]:
        """Changes, at once or as soon as there are any; nothing after the hold time.

        A client that polls again has received the last response: `heard` is called for each change in it.
        """
        for news in self._last:
            self.heard(news)
        self._last = []
        try:
            async with asyncio.timeout(self._habits.hold_s):
                while not self._news and self.alive:
                    self._held = True
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            return [], []
        finally:
            self._held = False
        taken = self._last = self._take()
        users = [news for news in taken if isinstance(news, UserNews)]
        return users, [news for news in taken if isinstance(news, LegNews)]

    def end(self) -> None:
        """End the session; a held Poll returns."""
        self.alive = False
        self._wake.set()

    def _take(self) -> list[News]:
        taken = [self._news.popleft() for _ in range(min(self._habits.batch, len(self._news)))]
        last = taken[-1] if len(taken) > 1 and self._news and self._habits.update_after_end else None
        if isinstance(last, UserNews) and last.end_of_list:
            self._news.appendleft(taken.pop())
        return taken

    def _show(self, user: SimUser, channel: int, alert: int, *, gone: bool, cfg: bool) -> None:
        seen = self.visible(user) and not gone
        if not seen and user.id not in self._shown:
            return
        (self._shown.add if seen else self._shown.discard)(user.id)
        self._queue(UserNews(user, channel, alert, gone=not seen, cfg=cfg))

    def _list(self) -> None:
        """Queue the first list and the record that ends it (docs/wire.md#poll)."""
        listed: list[News] = []
        for user in sorted(self._exchange.users.values(), key=lambda user: user.cn):
            if self.visible(user):
                self._shown.add(user.id)
                listed.append(UserNews(user, *self._exchange.counts(user.id)))
        end: list[News] = [UserNews(SimUser(""), end_of_list=True)]
        before = listed[:1] if self._habits.update_before_end else []
        after = listed[:1] if self._habits.update_after_end else []
        for news in [*listed, *before, *end, *after]:
            self._queue(news)
        self._listed = self.queued

    def _queue(self, news: News) -> None:
        self.queued += 1
        self._news.append(news)
        self._wake.set()


def _leg_news(handle: int, leg: Leg, message: str) -> LegNews:
    return LegNews(
        user_handle=handle,
        leg=leg.number,
        state=leg.word,
        numbers=tuple(leg.numbers),
        message=message,
        conf=leg.conf,
        cause=leg.cause,
        uui=leg.uui,
        active=not leg.over,
        dtmf=leg.dtmf,
    )
