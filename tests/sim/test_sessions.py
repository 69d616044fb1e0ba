"""What a simulated PBX knows of what its clients have heard."""

import asyncio

from bridge.sim.pbx import SimPbx
from bridge.sim.session import Session


async def polled(session: Session, times: int) -> None:
    """So many Polls, each with news."""
    for _ in range(times):
        await asyncio.wait_for(session.poll(), 5)


async def test_a_mark_is_heard_while_news_keep_coming(pbx: SimPbx) -> None:
    """All up to the mark was in answers, and the client has come back for more after the last of them."""
    session = pbx.sessions.open(pbx.exchange.users["API"], 1)
    heard = pbx.sessions.mark()
    assert not heard()
    for _ in range(2):  # five users and the end of the list, three at a time
        await polled(session, 1)
        assert not heard()
    pbx.set_presence("Anna Müller", "away")
    await polled(session, 1)
    pbx.set_presence("Anna Müller", "busy")
    assert heard()
    assert not pbx.sessions.up_to_date


async def test_a_session_that_is_opened_after_the_mark_must_tell_its_list(pbx: SimPbx) -> None:
    """What was told to a session that is gone counts for nothing."""
    pbx.sessions.open(pbx.exchange.users["API"], 1)
    heard = pbx.sessions.mark()
    pbx.kill_sessions()
    assert not heard()
    session = pbx.sessions.open(pbx.exchange.users["API"], 2)
    await polled(session, 2)
    assert not heard()
    pbx.set_presence("Anna Müller", "away")
    await polled(session, 1)
    assert heard()
