"""The bench's PBX, a process of its own: digest, kept-alive connections, replies that were encoded before.

It reads as little of a request as it can, so that it costs little beside what is measured. It obeys lines of
JSON on standard input, see `_Pbx.perform`.
"""

import argparse
import asyncio
import re
import time
from collections import deque

from tests.bench.control import Order, obey, say
from tests.bench.replies import ENCODED, FOR_ZEEP, Replies, handle

HOLD_S = 60.0
NONCE = "a1b2c3d4e5f60718"
_OPERATION = re.compile(rb"Body>\s*<(?:[\w-]+:)?(\w+)")
_NUMBER = re.compile(rb">User (\d{5})<")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHALLENGE = (
    "HTTP/1.1 401 Unauthorized\r\n"
    f'WWW-Authenticate: Digest realm="bench", nonce="{NONCE}", qop="auth", algorithm=MD5\r\n'
    "Content-Length: 0\r\n\r\n"
).encode()


def http(body: bytes) -> bytes:
    """A response of HTTP."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Pbx:
    """One PBX, or several that are alike: each connection asks for itself, and one order serves the last."""

    def __init__(self, users: int, each: int, replies: Replies) -> None:
        self._replies = replies
        self._list = deque(map(http, replies.first_list(users, each)))
        self._waiting: deque[bytes] = deque()
        self._held: dict[asyncio.Transport, asyncio.TimerHandle] = {}
        self._gated: list[tuple[asyncio.Transport, bytes]] = []
        self._gate = ""
        self._moved = asyncio.Event()
        self._next_event = 0
        self._made: dict[str, bytes] = {}
        self.monitored = self.polls = self.requests = 0
        self.first_poll_s = 0.0
        self._empty = http(replies.poll())

    def answer(self, transport: asyncio.Transport, operation: str, body: bytes) -> None:
        """Answer a request now, or keep it until there is news."""
        self.requests += 1
        if operation == "Poll":
            self._poll(transport)
            return
        answer = self._of(operation, body)
        if operation == self._gate:
            self._gated.append((transport, answer))
        else:
            transport.write(answer)

    def _poll(self, transport: asyncio.Transport) -> None:
        self.polls += 1
        self.first_poll_s = self.first_poll_s or time.monotonic()
        if self._waiting:
            transport.write(self._waiting.popleft())
            return
        timer = asyncio.get_running_loop().call_later(HOLD_S, self._release, transport, self._empty)
        self._held[transport] = timer
        self._moved.set()

    def _release(self, transport: asyncio.Transport, response: bytes) -> None:
        self._held.pop(transport).cancel()
        transport.write(response)

    def gone(self, transport: asyncio.Transport) -> None:
        """A connection has ended."""
        timer = self._held.pop(transport, None)
        if timer is not None:
            timer.cancel()

    def _of(self, operation: str, body: bytes) -> bytes:
        if operation == "UserInitialize":
            self.monitored += 1
            self._moved.set()
            found = _NUMBER.search(body)
            number = handle(int(found[1])) if found else 999_999
            return http(self._replies.result(operation, ("return", number)))
        if operation not in self._made:
            values: dict[str, tuple[tuple[str, object], ...]] = {
                "Initialize": (("return", 1), ("key", 4711)),
                "Version": (("WSDLVersion", "10.00"), ("FirmwareVersion", "14r1"), ("SerialNumber", "0090")),
                "End": (),
                "UserEnd": (),
            }
            made = values.get(operation, (("return", 1),))
            self._made[operation] = http(self._replies.result(operation, *made))
        return self._made[operation]

    async def perform(self, order: Order) -> Order:
        """What the methods below do; each is named by an order, without its underscore."""
        made: Order = await getattr(self, f"_{order.pop('do')}")(**order)
        return made

    async def _send(self, responses: list[bytes]) -> None:
        """Have them taken one after another; done when the Poll after the last one has come."""
        self._waiting.extend(responses)
        self._moved.clear()
        self._flush()
        while self._waiting or not self._held:
            await self._moved.wait()
            self._moved.clear()
            self._flush()

    def _flush(self) -> None:
        if self._waiting and self._held:
            self._release(next(iter(self._held)), self._waiting.popleft())

    async def _first(self) -> Order:
        """Wait for the first Poll."""
        while not self._held:
            self._moved.clear()
            await self._moved.wait()
        return {"first_poll_s": self.first_poll_s}

    async def _list_all(self) -> Order:
        await self._send(list(self._list))
        self._list.clear()
        return {}

    async def _burst(self, events: int, each: int) -> Order:
        responses = list(map(http, self._replies.events(self._next_event, events, each)))
        self._next_event += events
        await self._send(responses)
        return {}

    async def _pace(self, events: int, per_s: float) -> Order:
        responses = list(map(http, self._replies.events(self._next_event, events, 1)))
        self._next_event += events
        loop = asyncio.get_running_loop()
        start_s, sent = loop.time() + 0.1, list[float]()
        for number, response in enumerate(responses):
            await asyncio.sleep(start_s + number / per_s - loop.time())
            await self._first()
            sent.append(time.monotonic())
            self._release(next(iter(self._held)), response)
            self._moved.clear()
        await self._first()
        return {"sent": sent}

    async def _lasting(self, calls: int) -> Order:
        await self._send(list(map(http, self._replies.lasting(calls))))
        return {}

    async def _close(self, operation: str) -> Order:
        """Answer this operation no more, until `open`."""
        self._gate = operation
        return {}

    async def _open(self) -> Order:
        self._gate = ""
        for transport, answer in self._gated:
            transport.write(answer)
        self._gated.clear()
        return {}

    async def _monitored(self, users: int) -> Order:
        """Wait until we were asked to monitor so many."""
        while self.monitored < users:
            self._moved.clear()
            await self._moved.wait()
        return {}

    async def _status(self) -> Order:
        return {"monitored": self.monitored, "polls": self.polls, "requests": self.requests}


class _Connection(asyncio.Protocol):
    def __init__(self, pbx: _Pbx) -> None:
        self._pbx = pbx
        self._transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        if self._transport is not None:
            self._pbx.gone(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            found = _LENGTH.search(head)
            whole = end + 4 + (int(found[1]) if found else 0)
            if len(self._data) < whole:
                return
            body, self._data = self._data[end + 4 : whole], self._data[whole:]
            self._request(head, body)

    def _request(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        if NONCE.encode() not in head:
            self._transport.write(_CHALLENGE)
            return
        found = _OPERATION.search(body)
        self._pbx.answer(self._transport, found[1].decode() if found else "", body)


async def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--each", type=int, default=256)
    parser.add_argument("--for-zeep", action="store_true")
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    pbx = _Pbx(options.users, options.each, Replies(FOR_ZEEP if options.for_zeep else ENCODED))
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(pbx), options.host, 0, backlog=4096
    )
    say(port=server.sockets[0].getsockname()[1])
    await obey(pbx.perform)


if __name__ == "__main__":
    asyncio.run(_main())
