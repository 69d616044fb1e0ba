"""One HTTP/1.1 response: bytes in, a value out, every size limited. No I/O: connection.py reads the bytes.

httptools (llhttp, the parser of Node.js) does the parsing. RFC 9112 allows two leniencies, which it is given
here: a header folded over two lines (5.2; old devices fold WWW-Authenticate) and LF line ends (2.2).
"""

from dataclasses import dataclass, field

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

HEAD_CAP = 64 * 1024
HEADERS_CAP = 256
BODY_CAP = 8 * 1024 * 1024
_FRAMING = 8
"""Bytes of framing allowed per byte of the body: a chunk of one byte needs five."""
_CONTINUE, _SWITCHING, _OK, _NO_CONTENT, _NOT_MODIFIED = 100, 101, 200, 204, 304


class BrokenResponseError(Exception):
    """The bytes are not an HTTP response, or the response is cut off."""


class RefusedResponseError(Exception):
    """The response is too long, or compressed although the request did not allow it."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response. Header names are in lower case, values are Latin-1, which keeps every byte.

    `reusable`: the connection may carry another request.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)
    reusable: bool = False

    def all(self, name: str) -> tuple[str, ...]:
        """All values of a header, in the order of the response."""
        return tuple(value for key, value in self.headers if key == name)


class ResponseReader:
    """Parses the response to one request. `response` is None until it is complete."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_headers=True, lenient_optional_cr_before_lf=True)
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._head_size = self._header_count = 0
        self._raw_size = self._body_size = self._announced = 0
        self._in_body = self._framed = self._complete = False
        self._keep_alive = self._surplus = self._compressed = False

    def feed(self, data: bytes) -> None:
        """Parse received bytes. Raises BrokenResponseError or RefusedResponseError."""
        self._raw_size += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._complete:
                raise BrokenResponseError(f"the answer is not HTTP ({error})") from None
            self._surplus = True
        self._refuse()
        if self._complete:
            self._finish()

    def end(self) -> None:
        """Note the end of the connection: it completes a body without length. Raises BrokenResponseError."""
        if not self._in_body or self._framed:
            raise BrokenResponseError(
                "it was closed in the middle of an answer" if self._raw_size else "closed"
            )
        self._keep_alive = False
        self._finish()

    def on_message_begin(self) -> None:
        """Note a second response to one request as unsolicited (httptools)."""
        self._surplus = self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header (httptools); trailers after the body are ignored."""
        if self._in_body:
            return
        self._head_size += len(name) + len(value)
        self._header_count += 1
        if self._header_count <= HEADERS_CAP:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Read the body's framing from the headers (httptools). Informational responses (1xx) have none."""
        status = self._parser.get_status_code()
        if self._complete or (_CONTINUE <= status < _OK and status != _SWITCHING):
            return
        self._status = status
        self._in_body = True
        self._keep_alive = self._parser.should_keep_alive()
        codings, lengths = self._words("transfer-encoding"), self._words("content-length")
        self._framed = bool(codings or lengths) or status in {_NO_CONTENT, _NOT_MODIFIED}
        self._compressed = not {*codings, *self._words("content-encoding")} <= {"identity", "chunked"}
        self._announced = int(lengths[0]) if lengths else 0

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body unless the body is over its limit (httptools)."""
        if self._complete:
            return
        self._body_size += len(data)
        if self._body_size <= BODY_CAP:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Note the end of the response; after an informational one the real one follows (httptools)."""
        self._complete = self._in_body
        if not self._in_body:
            self._headers.clear()

    def _words(self, name: str) -> list[str]:
        """The items of a header that is a list, in lower case."""
        values = [value for key, value in self._headers if key == name]
        if not values:
            return []
        return [word.lower() for part in ",".join(values).split(",") if (word := part.strip())]

    def _refuse(self) -> None:
        overhead = self._raw_size - self._body_size
        head_size = self._head_size if self._in_body else overhead
        if head_size > HEAD_CAP or self._header_count > HEADERS_CAP:
            raise BrokenResponseError("the header of the answer is too long")
        if self._compressed:
            raise RefusedResponseError("is compressed")
        most = min(HEAD_CAP + _FRAMING * self._body_size, BODY_CAP)
        if max(self._announced, self._body_size) > BODY_CAP or overhead > most:
            raise RefusedResponseError(f"is longer than {BODY_CAP >> 20} MiB")

    def _finish(self) -> None:
        reusable = self._keep_alive and not self._surplus
        self.response = Response(self._status, tuple(self._headers), b"".join(self._body), reusable)
