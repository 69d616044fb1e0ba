"""Polls that a proxy ends before the PBX answers them."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import LinkError, ProtocolError, Rejected, SessionLost, Unreachable
from bridge.pbx.client import Client, SoapSession
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.poll_ends import LEAST_S, SAME_S, PollEnds, limit_of
from bridge.pbx.soap import Soap
from tests.kit.raw_http import answer, listening

POLL_S = 75.0
GONE = SessionLost("the connection to http://pbx broke: closed")


@pytest.mark.parametrize(
    ("ages_s", "limit_s"),
    [
        ([], None),
        ([30.0, 30.0], None),
        ([30.0, 30.1, 30.2], 30.1),
        ([7.0, 44.0, 60.0, 60.4, 60.8], 60.4),
        ([30.0, 60.0, 30.0], None),
        ([0.1, 0.1, 0.1], None),
    ],
)
def test_three_of_the_same_age(ages_s: Sequence[float], limit_s: float | None) -> None:
    """Not two, not of different ages, and none that failed at once."""
    assert limit_of(ages_s) == (None if limit_s is None else pytest.approx(limit_s))


@given(st.lists(st.floats(0, 100)))
def test_a_limit_is_one_that_was_seen(ages_s: list[float]) -> None:
    """Whatever happened, it is near the last failure."""
    limit_s = limit_of(ages_s)
    assert limit_s is None or (abs(limit_s - ages_s[-1]) <= SAME_S and limit_s >= LEAST_S)


def reasons(ends: PollEnds, *happened: tuple[LinkError | None, float]) -> list[str]:
    """What is said of Polls that fail, or are answered where there is no error, one after the other."""
    said = []
    for error, age_s in happened:
        if error is None:
            ends.answered(age_s)
        else:
            said.append(ends.explained(error, age_s, POLL_S).reason)
    return said


@pytest.mark.parametrize("error", [GONE, Unreachable("http://pbx answers HTTP 504")])
def test_the_third_names_the_remedy(error: LinkError) -> None:
    """Over sessions, and whatever was answered sooner."""
    first, second, third = reasons(
        PollEnds(), (error, 30.0), (None, 2.0), (error, 30.2), (None, 29.0), (error, 30.4)
    )

    assert first == second == error.reason
    assert third == f"{error.reason}: a proxy ends Polls after 30 s: raise its read timeout above 75 s"


def test_a_poll_that_lives_longer_disproves_it() -> None:
    """Nothing ends them at that age."""
    said = reasons(PollEnds(), (GONE, 30.0), (GONE, 30.0), (None, 55.0), (GONE, 30.0))

    assert said == [GONE.reason] * 3


@pytest.mark.parametrize(
    ("error", "age_s"),
    [
        (Unreachable("did not answer within 75 s"), 75.0),
        (Rejected("refuses"), 30.0),
        (ProtocolError("empty"), 30.0),
    ],
)
def test_what_has_another_reason(error: LinkError, age_s: float) -> None:
    """Our own timeout, a refusal, an answer that cannot be read."""
    assert reasons(PollEnds(), *[(error, age_s)] * 4) == [error.reason] * 4


async def test_clients_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that gives up after a while, and one client for each session."""
    monkeypatch.setattr("bridge.pbx.poll_ends.LEAST_S", 0.0)

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"timeout", "504 Gateway Timeout"))
        await reader.read()

    ends, said = PollEnds(), []
    async with listening(impatient) as port:
        for _ in range(3):
            endpoint = Endpoint(f"http://127.0.0.1:{port}", "admin", "secret")
            async with Client(Soap(), endpoint, poll_s=9, request_s=9, poll_ends=ends) as client:
                with pytest.raises(Unreachable, match="HTTP 504") as error:
                    await client.poll(SoapSession(1, 1))
                said.append("a proxy ends Polls" in error.value.reason)

    assert said == [False, False, True]
