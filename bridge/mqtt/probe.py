"""Asks on the bus whether another bridge serves a PBX, answers one that asks, waits for its end.

The question is a `ping` whose id proves that a bridge asks; only an answer with a proof counts.
"""

import asyncio
import contextlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Any

import orjson

from bridge.core import proof
from bridge.core.message import Incoming, Message, Subscription
from bridge.core.payloads import SCHEMA
from bridge.core.topics import Topics
from bridge.errors import LinkError, Unreachable
from bridge.mqtt.client import Connection
from bridge.mqtt.negotiate import connect
from bridge.mqtt.settings import BrokerSettings

ASKED, ANSWER_S = 2, 0.5
"""Twice, because a bridge that is asked for the first time must derive its key before it can answer."""
ANSWERED_AT_MOST = 100
VERB = "ping"


class ProbeResult(Enum):
    """The result of a probe. `UNPROVEN`: an answer without a valid proof, which anybody can give.

    `ANYBODY`: an answer, but the bridge has no password for the broker, so nothing can be proved.
    """

    NOBODY = "nobody"
    UNPROVEN = "unproven"
    ANYBODY = "anybody"
    BRIDGE = "bridge"


class BridgeProbe:
    """Recognises another bridge for one PBX. `password`: for the broker, or empty."""

    def __init__(self, client_id: str, password: str) -> None:
        self._client_id = client_id
        self._password = password
        self._key: bytes | None = None
        self._making: asyncio.Future[bytes] | None = None
        self._own_question = ""
        self._answered: OrderedDict[str, None] = OrderedDict()

    async def find(self, settings: BrokerSettings, topics: Topics) -> ProbeResult:
        """Ask, under another client id, so that nobody is disconnected. Raises what `connect` raises."""
        try:
            key = self._key or await self._make_key()
        except (OSError, ValueError) as error:  # no thread; or an OpenSSL that may not do it (FIPS)
            raise Unreachable(f"cannot look for another bridge: {error}") from None
        question = self._own_question = proof.question(key, secrets.token_bytes(proof.NONCE_BYTES))
        name = f"probe-{secrets.token_hex(8)}"
        will = Message(topics.response(VERB), {"id": name, "status": "gone"})
        found = ProbeResult.NOBODY
        async with connect(settings.with_client_id(f"{settings.client_id}-{name}"), will) as connection:
            with contextlib.suppress(LinkError):
                await connection.subscribe([Subscription(topics.response(VERB))])
                for _ in range(ASKED):
                    if found is ProbeResult.BRIDGE:
                        break
                    connection.publish(Message(f"{topics.root}/command/{VERB}", {"id": question}))
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(ANSWER_S):
                            while found is not ProbeResult.BRIDGE:
                                found = await _next_answer(connection, key, question)
        return found if self._password or found is ProbeResult.NOBODY else ProbeResult.ANYBODY

    def answer(self, incoming: Incoming, topics: Topics, send: Callable[[Message], None]) -> bool:
        """Answer the question of another bridge; False for any other command.

        Each question is answered only once, so replaying one is useless. Our own comes back where the primary
        broker and its standby share their messages.
        """
        asked = _question_in(incoming, topics)
        if asked is None:
            return False
        if asked == self._own_question:
            return True
        if self._key is None:
            self._make_key()
            return False
        if asked in self._answered or not proof.is_ours(self._key, asked):
            return False
        self._answered[asked] = None
        if len(self._answered) > ANSWERED_AT_MOST:
            self._answered.popitem(last=False)
        said = {"schema": SCHEMA, "id": asked, "verb": VERB, "status": "ok"}
        send(Message(topics.response(VERB), {**said, "proof": proof.answer(self._key, asked)}))
        return True

    def _make_key(self) -> asyncio.Future[bytes]:
        """Derive the key once, in a thread: scrypt is slow on purpose."""
        if self._making is None or (self._making.done() and self._key is None):
            loop = asyncio.get_running_loop()
            self._making = loop.run_in_executor(None, proof.key_of, self._password, self._client_id)
            self._making.add_done_callback(self._made)
        return self._making

    def _made(self, made: asyncio.Future[bytes]) -> None:
        """Keep the key. If no thread could be started there is none, and the next question tries again."""
        if not made.cancelled() and made.exception() is None:
            self._key = made.result()


async def until_offline(settings: BrokerSettings, topics: Topics, within_s: float) -> None:
    """Return when the PBX is said to be offline, at most after `within_s`: the other bridge may have ended.

    Under another client id, so that nobody is disconnected. Raises what `connect` raises.
    """
    name = f"{settings.client_id}-watch-{secrets.token_hex(8)}"
    async with connect(settings.with_client_id(name), Message(topics.response(VERB), None)) as connection:
        connection.needs_no_will()
        with contextlib.suppress(LinkError):
            await connection.subscribe([Subscription(topics.state)])
        heard = asyncio.create_task(_offline(connection), name="until offline")
        ends: list[asyncio.Future[Any]] = [heard, connection.lost]
        try:
            await asyncio.wait(ends, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()


async def _offline(connection: Connection) -> None:
    while (await connection.incoming.get()).payload != b"offline":
        pass


def _question_in(incoming: Incoming, topics: Topics) -> str | None:
    if incoming.topic != f"{topics.root}/command/{VERB}" or incoming.retain:
        return None
    asked = _id_of(incoming.payload)
    return asked if isinstance(asked, str) and proof.is_question(asked) else None


def _id_of(payload: bytes) -> object:
    body = _read(payload)
    return body.get("id") if isinstance(body, dict) else None


def _read(payload: bytes) -> object:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None


async def _next_answer(connection: Connection, key: bytes, question: str) -> ProbeResult:
    """Wait for the next reply to our question."""
    while True:
        reply = _read((await connection.incoming.get()).payload)
        if isinstance(reply, dict) and reply.get("id") == question and "verb" in reply:
            return (
                ProbeResult.BRIDGE
                if proof.proves(key, question, reply.get("proof"))
                else ProbeResult.UNPROVEN
            )
