"""The way back to the primary, whatever the session with the standby is just doing."""

import asyncio
from functools import partial

import pytest

from bridge.core.standby import AddressChoice, Addresses
from bridge.errors import SessionLost, Unreachable
from bridge.link import standby
from bridge.link.standby import WayBack


async def test_a_session_that_cannot_be_asked_to_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that still waits for its turn at a busy host: nobody would look at the primary again."""
    monkeypatch.setattr(standby, "LEAVE_S", 0.05)
    choice = AddressChoice(Addresses(("a", "b"), return_after_s=0.0))
    choice.down(Unreachable("gone"), None, 0.0)
    assert choice.place == 1
    said: list[str] = []
    turn = asyncio.Event()

    async def serve() -> None:
        await turn.wait()

    async def primary_answers() -> bool:
        return True

    way_back = WayBack(
        choice,
        look=primary_answers,
        calm=lambda: True,
        clock=asyncio.get_running_loop().time,
        said=partial(said.append, "returns"),
    )
    async with asyncio.timeout(5):
        with pytest.raises(SessionLost) as lost:
            await way_back.beside(serve(), leave=partial(asyncio.sleep, 0))
    assert said == ["returns"]
    choice.down(lost.value, None, 1.0)
    assert choice.place == 0
