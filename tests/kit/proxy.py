"""A TCP proxy with the faults of a network, for tests. Knows no protocol above TCP."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from tests.bus import free_port
from tests.kit.network import CHUNK, CLEAR, Conditions, Flow, Heard, Network, Way, stamp_arrivals

LINGER_0 = struct.pack("ii", 1, 0)


class _End(Enum):
    CUT = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class _Connection:
    client: socket.socket
    end: asyncio.Future[_End]
    task: asyncio.Task[None]


class Proxy:
    """Listens on `port` of `host` in front of a port of 127.0.0.1, inside `async with`.

    `accepted` counts the connections so far. `heard` gets what clients send, and when it arrived here.
    """

    def __init__(self, target: int, *, host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self._host = host
        self.accepted = 0
        self.heard: Heard = lambda _at, _data: None
        self._target = target
        self._network = Network(CLEAR)
        self._listener: socket.socket | None = None
        self._connections: list[_Connection] = []

    async def __aenter__(self) -> Self:
        self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        tasks = [each.task for each in self._connections]
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for each in self._connections:
            each.client.close()
        for result in results:
            if isinstance(result, Exception):
                raise result

    @property
    def conditions(self) -> Conditions:
        """What the network does; set it at any time, for old and for new connections."""
        return self._network.value

    @conditions.setter
    def conditions(self, conditions: Conditions) -> None:
        self._network.change(conditions)

    @property
    def swallowed(self) -> int:
        """How many bytes were thrown away so far."""
        return self._network.swallowed

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return sum(not each.task.done() for each in self._connections)

    def cut(self) -> None:
        """End all connections with a FIN to both sides."""
        self._end_all(_End.CUT)

    def reset(self) -> None:
        """End all connections with a RST to both sides."""
        self._end_all(_End.RESET)

    def refuse(self) -> None:
        """Stop listening; the connections stay."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def listen(self) -> None:
        """Listen, on the same port as before."""
        self._listener = socket.create_server((self._host, self.port))
        self._listener.settimeout(0)
        stamp_arrivals(self._listener)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # whoever knocked is gone
            return
        client.settimeout(0)
        self.accepted += 1
        end: asyncio.Future[_End] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._serve(client, end))
        self._connections.append(_Connection(client, end, task))

    def _end_all(self, end: _End) -> None:
        for each in self._connections:
            if not each.end.done():
                each.end.set_result(end)

    async def _serve(self, client: socket.socket, end: asyncio.Future[_End]) -> None:
        with client, socket.socket() as target:
            target.settimeout(0)
            carrying = asyncio.create_task(self._carry(client, target))
            try:
                await asyncio.wait({carrying, end}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                carrying.cancel()
                await asyncio.wait({carrying})
            how = end.result() if end.done() else carrying.result()
            if how is _End.CUT:
                await asyncio.gather(_goodbye(client), _goodbye(target))
            else:
                for each in (client, target):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)

    async def _carry(self, client: socket.socket, target: socket.socket) -> _End:
        """Carry bytes until both sides have ended or one is gone; tells how it is to end for the other."""
        for each in (client, target):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(target, ("127.0.0.1", self._target))
        except OSError:
            await self._network.until(lambda conditions: conditions.down is Flow.PASSES)
            return _End.CUT
        return await self._carry_both(client, target)

    async def _carry_both(self, client: socket.socket, target: socket.socket) -> _End:
        how = _End.CUT
        try:
            async with asyncio.TaskGroup() as tasks:
                for source, sink, up, heard in (
                    (client, target, True, self.heard),
                    (target, client, False, lambda _at, _data: None),
                ):
                    way = Way(self._network, source, sink, up=up, heard=heard)
                    tasks.create_task(way.read())
                    tasks.create_task(way.write())
        except* OSError:
            how = _End.RESET
        return how


async def _goodbye(side: socket.socket) -> None:
    """Send a FIN and read up to that of the other: what is unread at the end would make it a RST."""
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_WR)
        while await asyncio.get_running_loop().sock_recv(side, CHUNK):
            pass
