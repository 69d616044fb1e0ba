"""The reader of responses: however the bytes are cut, the same comes out; whatever they are, it ends well."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.pbx.response import (
    BODY_CAP,
    BrokenResponseError,
    RefusedResponseError,
    Response,
    ResponseReader,
)

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SAMPLES = [
    b"HTTP/1.1 200 OK\r\nX: a\r\nx: b\r\nContent-Length: 5\r\n\r\n<ok/>",
    b"HTTP/1.1 100 Continue\r\nY: z\r\n\r\nHTTP/1.1 401 No\r\nX: a,\r\n b\r\nContent-Length: 5\r\n\r\n<ok/>",
    CHUNKED + b"2;a=b\r\n<o\r\n3\r\nk/>\r\n0\r\nTrailer: x\r\n\r\n",
    b"HTTP/1.0 200 OK\n\n<ok/>",
    b"HTTP/1.1 204 None\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nsomething else",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n\r\nb",
]


def read(*pieces: bytes) -> Response | str:
    """What comes out of bytes that arrive in pieces, before the connection ends."""
    reader = ResponseReader()
    try:
        for piece in pieces:
            reader.feed(piece)
        if reader.response is None:
            reader.end()
    except (BrokenResponseError, RefusedResponseError) as error:
        return type(error).__name__
    assert reader.response is not None
    return reader.response


@given(st.sampled_from(SAMPLES), st.lists(st.integers(0, 200)))
def test_where_the_bytes_are_cut_does_not_matter(sample: bytes, cuts: list[int]) -> None:
    """Byte by byte, all at once, or anything between."""
    places = [0, *sorted(cuts), len(sample)]
    assert read(*(sample[start:end] for start, end in pairwise(places))) == read(sample)


@given(
    st.lists(
        st.one_of(st.binary(), st.sampled_from([b"HTTP/1.1 ", b"200", b"\r\n", b"Content-Length: ", b"7"]))
    )
)
def test_garbage_is_broken_or_refused(pieces: list[bytes]) -> None:
    """Nothing but the errors that are named, and no more than one response."""
    read(*pieces)


def test_headers_keep_their_bytes_and_order() -> None:
    """Names in lower case."""
    response = read(b"HTTP/1.1 200 OK\r\nB: 1\r\nA: \xff\xfc\r\nb: 2\r\nContent-Length: 0\r\n\r\n")

    assert isinstance(response, Response)
    assert response.headers[:3] == (("b", "1"), ("a", "\u00ff\u00fc"), ("b", "2"))
    assert response.all("b") == ("1", "2")


@pytest.mark.parametrize("size", [BODY_CAP, BODY_CAP + 1, BODY_CAP + 300_000])
def test_the_cap(size: int) -> None:
    """To the byte, whether or not the length was announced."""
    body = [b"x" * min(65_536, size - start) for start in range(0, size, 65_536)]
    for answer in (
        read(b"HTTP/1.1 200 OK\r\n\r\n", *body),
        read(CHUNKED, b"%x\r\n" % size, *body, b"\r\n0\r\n\r\n"),
        read(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *body),
    ):
        if size > BODY_CAP:
            assert answer == "RefusedResponseError"
        else:
            assert isinstance(answer, Response)
            assert len(answer.body) == size


def test_small_chunks_are_read_but_not_framing_without_end() -> None:
    """A chunk for each byte is odd and no attack; extensions that outweigh the body are."""
    whole = read(CHUNKED, *[b"1\r\na\r\n"] * 50_000, b"0\r\n\r\n")

    assert isinstance(whole, Response)
    assert whole.body == b"a" * 50_000
    assert read(CHUNKED, *[b"1;" + b"x" * 50 + b"\r\na\r\n"] * 50_000) == "RefusedResponseError"
