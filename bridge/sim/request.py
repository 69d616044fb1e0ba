"""Bytes of HTTP/1.1 requests in, values out, everything capped. No I/O: http.py reads the bytes.

httptools (llhttp, the parser of Node.js) does the parsing, strictly: a client that it refuses is wrong.
"""

from collections import deque
from dataclasses import dataclass

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

HEAD_CAP, BODY_CAP = 16_384, 1_048_576


class RefusedError(Exception):
    """The response has this status, and the connection closes."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, header names in lower case. `connection` numbers the TCP connections; `last`: close it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    last: bool


class RequestReader:
    """Reads the requests of one connection. `in_body`: a head is complete, its body is not."""

    def __init__(self, connection: int) -> None:
        self.in_body = False
        self._connection = connection
        self._parser = HttpRequestParser(self)
        self._complete: deque[HttpRequest] = deque()
        self._refused = 0
        self._head_size = self._unfinished_head = 0
        self._path = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()

    def take(self) -> HttpRequest | None:
        """The next complete request, if any."""
        return self._complete.popleft() if self._complete else None

    @property
    def waiting(self) -> bool:
        """A complete request waits: the client has sent several at once."""
        return bool(self._complete)

    def feed(self, data: bytes) -> None:
        """Take what has arrived. Raises RefusedError."""
        self._unfinished_head += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._refused = self._refused or 400
        # The parser reports a header only when it is complete: an endless one shows in the bytes alone.
        if max(self._head_size, self._unfinished_head) > HEAD_CAP:
            self._refused = self._refused or 431
        if self._refused:
            raise RefusedError(self._refused)

    def on_message_begin(self) -> None:
        """Start a new request."""
        self._head_size = 0
        self._path = b""
        self._headers = {}
        self._body = bytearray()

    def on_url(self, part: bytes) -> None:
        """Take a piece of the path."""
        self._head_size += len(part)
        self._path += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; of two with the same name the last one counts."""
        self._head_size += len(name) + len(value)
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1").strip()

    def on_headers_complete(self) -> None:
        """Refuse a body that is announced too long, before it is sent."""
        self.in_body = True
        self._unfinished_head = 0
        if int(self._headers.get("content-length", "0")) > BODY_CAP:
            self._refused = 413

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        self._unfinished_head = 0
        if len(self._body) + len(part) > BODY_CAP:
            self._refused = 413
        else:
            self._body += part

    def on_message_complete(self) -> None:
        """The request is complete; another one may follow in the same bytes."""
        self.in_body = False
        self._unfinished_head = 0
        request = HttpRequest(
            method=self._parser.get_method().decode("latin-1"),
            path=self._path.decode("latin-1"),
            headers=self._headers,
            body=bytes(self._body),
            connection=self._connection,
            last=not self._parser.should_keep_alive(),
        )
        self._complete.append(request)
