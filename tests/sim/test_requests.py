"""What the simulated PBX takes for an HTTP request, in whatever pieces it arrives. No sockets here."""

import pytest

from bridge.sim.request import BODY_CAP, HEAD_CAP, HttpRequest, RefusedError, RequestReader

POST = b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
PARSED = HttpRequest("POST", "/a?b", {"host": "x", "content-length": "3"}, b"abc", 7, last=False)


def read(*pieces: bytes) -> list[HttpRequest]:
    """The requests in some bytes."""
    reader = RequestReader(7)
    for piece in pieces:
        reader.feed(piece)
    return list(iter(reader.take, None))


def test_requests_are_the_same_however_they_are_cut() -> None:
    """Whole, two at once, byte by byte, and cut in the middle of the second one."""
    assert read(POST) == [PARSED]
    assert read(POST + POST) == [PARSED, PARSED]
    assert read(*(bytes([byte]) for byte in POST + POST)) == [PARSED, PARSED]
    assert read(POST + POST[:20], POST[20:]) == [PARSED, PARSED]
    assert read(CHUNKED, b"3\r\nabc\r\n0\r\n\r\n")[0].body == b"abc"


@pytest.mark.parametrize(
    ("head", "last"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
    ],
)
def test_whether_the_connection_stays_open(head: bytes, last: bool) -> None:  # noqa: FBT001  (a case)
    """HTTP/1.0 closes it unless it says otherwise, HTTP/1.1 the other way round."""
    assert [each.last for each in read(head)] == [last]


def test_a_body_under_way_is_seen() -> None:
    """The server waits for it for a limited time only."""
    reader = RequestReader(1)
    seen = []
    for piece in (POST[:10], POST[10:-1], POST[-1:]):
        reader.feed(piece)
        seen.append(reader.in_body)

    assert seen == [False, True, False]


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"nonsense\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: -3\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"], 400),
        ([b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"], 400),
        ([b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BODY_CAP + 1)], 413),
        ([CHUNKED, b"%x\r\n" % (BODY_CAP + 1), b"x" * (BODY_CAP + 1)], 413),
        ([b"GET / HTTP/1.1\r\nA: ", b"b" * HEAD_CAP], 431),
        ([b"GET /", b"a" * HEAD_CAP, b" HTTP/1.1\r\n\r\n"], 431),
        ([b"GET / HTTP/1.1\r\n" + b"A: bcdefgh\r\n" * (HEAD_CAP // 8) + b"\r\n"], 431),
    ],
)
def test_what_is_refused(pieces: list[bytes], status: int) -> None:
    """With the status that says why."""
    with pytest.raises(RefusedError) as refused:
        read(*pieces)

    assert refused.value.status == status
