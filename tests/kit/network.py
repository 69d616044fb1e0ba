"""What a network does to the bytes of a connection, for tests: values, and one direction of carrying them."""

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from tests.kit.observable import Observable

CHUNK = 65_536
TICK_S = 0.02
IN_TRANSIT = 64
SO_TIMESTAMPNS = 35
"""Linux's number, which Python does not name: the kernel notes when bytes arrive."""
STAMP = struct.Struct("qq")


class Flow(Enum):
    """What becomes of the bytes, and of a FIN or RST, of one direction."""

    PASSES = auto()
    HELD = auto()
    """Not read: the sender is slowed down, and nothing is missing when it passes again."""
    SWALLOWED = auto()
    """Read and thrown away: missing for ever."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What the network does now, to all connections; `up` is towards the target. The default: no harm."""

    up: Flow = Flow.PASSES
    down: Flow = Flow.PASSES
    latency_s: float = 0.0
    """Each way, for bytes read from now on; those in transit keep theirs."""
    slice_bytes: int = CHUNK
    """How much is written at once, at most."""
    bytes_per_s: float | None = None
    """Each way and for each connection."""

    @property
    def piece_bytes(self) -> int:
        """How much to write before the next pause."""
        if self.bytes_per_s is None:
            return self.slice_bytes
        return min(self.slice_bytes, max(1, int(self.bytes_per_s * TICK_S)))

    def pause_s(self, count: int) -> float:
        """How long to wait after so many bytes."""
        return 0.0 if self.bytes_per_s is None else count / self.bytes_per_s


CLEAR = Conditions()
HOLDING = Conditions(Flow.HELD, Flow.HELD)
SWALLOWING = Conditions(Flow.SWALLOWED, Flow.SWALLOWED)


Heard = Callable[[float, bytes], None]


def stamp_arrivals(listener: socket.socket) -> None:
    """Have the kernel note when bytes arrive on the connections of a listener, where it can."""
    if sys.platform == "linux":
        listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


class Network(Observable[Conditions]):
    """The conditions of now, and how many bytes they have swallowed so far."""

    swallowed = 0


class Way:
    """One direction of one connection. b"" in transit is a FIN, None a RST.

    `heard` gets all bytes, and the time.monotonic() at which they arrived here: by the kernel's word, for
    they may be read late where the machine has much to do, or while they are held.
    """

    def __init__(
        self, network: Network, source: socket.socket, sink: socket.socket, *, up: bool, heard: Heard
    ) -> None:
        self._network = network
        self._heard = heard
        self._source = source
        self._sink = sink
        self._up = up
        self._loop = asyncio.get_running_loop()
        self._transit: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue(IN_TRANSIT)

    async def read(self) -> None:
        """Take bytes from the source until it ends."""
        data: bytes | None = b"-"
        while data:
            await self._not_held()
            try:
                data = await self._received()
            except OSError:
                data = None
            await self._transit.put((time.monotonic() + self._network.value.latency_s, data))

    async def _received(self) -> bytes:
        while True:
            try:
                data, notes, _, _ = self._source.recvmsg(CHUNK, socket.CMSG_SPACE(STAMP.size))
            except BlockingIOError:
                await _readable(self._source)
            else:
                self._heard(_arrival(notes), data)
                return data

    async def write(self) -> None:
        """Bring bytes to the sink when they are due, until the end of the source. OSError: a RST on it."""
        while True:
            due_s, data = await self._transit.get()
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            if data:
                await self._deliver(data)
                continue
            if self._flow(await self._not_held()) is Flow.PASSES:
                self._end(reset=data is None)
            return

    async def _deliver(self, data: bytes) -> None:
        while data:
            conditions = await self._not_held()
            if self._flow(conditions) is Flow.SWALLOWED:
                self._network.swallowed += len(data)
                return
            piece, data = data[: conditions.piece_bytes], data[conditions.piece_bytes :]
            await self._loop.sock_sendall(self._sink, piece)
            await asyncio.sleep(conditions.pause_s(len(piece)))

    def _end(self, *, reset: bool) -> None:
        if reset:
            raise ConnectionResetError
        self._sink.shutdown(socket.SHUT_WR)

    def _flow(self, conditions: Conditions) -> Flow:
        return conditions.up if self._up else conditions.down

    async def _not_held(self) -> Conditions:
        return await self._network.until(lambda conditions: self._flow(conditions) is not Flow.HELD)


def _arrival(notes: list[tuple[int, int, bytes]]) -> float:
    """When the bytes arrived that were read with these notes; now, where the kernel does not say."""
    for level, kind, stamp in notes:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = STAMP.unpack(stamp)
            ago: float = time.time() - (seconds + nanoseconds / 1e9)
            return time.monotonic() - ago
    return time.monotonic()


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock, _wake, readable)
    try:
        await readable
    finally:
        loop.remove_reader(sock)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
