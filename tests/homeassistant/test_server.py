"""How we talk to Home Assistant: one that hangs or ends fails a test, and does not hold it up."""

import asyncio
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.homeassistant.server import HomeAssistant, accepts


async def test_one_that_does_not_answer_is_not_up() -> None:
    """It takes the connection and says nothing, as while it starts on a busy machine."""
    ended = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert not await asyncio.to_thread(accepts, f"http://127.0.0.1:{port}")
        await ended.wait()


async def test_a_question_ends_with_the_connection() -> None:
    """Home Assistant has ended before it answered."""

    async def end(connection: ServerConnection) -> None:
        await connection.recv()

    async with serve(end, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with connect(url) as connection:
            running = HomeAssistant(url, {}, Path("log"), connection)
            listening = asyncio.create_task(running.listen())
            with pytest.raises(ConnectionError, match="has ended"):
                async with asyncio.timeout(10):
                    await running.ask("get_states")
            await listening
