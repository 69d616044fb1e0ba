"""For tests: a user at the listener for people, over plain paho with TLS. Asserts nothing."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.bus import eventually
from tests.kit import paho_thread

SECRET = "secret"


class Person:
    """One user of the broker. `heard`: what came, by topic.

    The callbacks hold the collections, not this object: paho closes its sockets when nobody holds the client.
    """

    def __init__(
        self, port: int, folder: Path, name: str, *, client_id: str | None = None, password: str = SECRET
    ) -> None:
        self.name = name
        self.heard: dict[str, bytes] = {}
        self._port = port
        self._answers: list[ReasonCode] = []
        self._granted: dict[int, list[ReasonCode]] = {}
        self._taken: dict[int, ReasonCode] = {}
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or name,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.username_pw_set(name, password)
        client.tls_set_context(ssl.create_default_context(cafile=str(folder / "ca.pem")))
        heard, answers, granted, taken = self.heard, self._answers, self._granted, self._taken
        client.on_connect = lambda *call: answers.append(call[3])
        client.on_message = lambda *call: heard.update({call[2].topic: call[2].payload})
        client.on_publish = lambda *call: taken.update({call[2]: call[3]})
        client.on_subscribe = lambda *call: granted.update({call[2]: call[3]})

    @property
    def accepted(self) -> bool:
        """The broker lets it in."""
        return not self._answers[0].is_failure

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()
        await eventually(lambda: self._answers, f"the broker answers {self.name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(paho_thread.stop, self._client)

    async def subscribe(self, *filters: str) -> None:
        """Ask for them all; some brokers grant what they will not deliver."""
        for each in filters:
            mid = self._client.subscribe(each, 1)[1]
            assert mid is not None
            await eventually(lambda asked=mid: asked in self._granted, "the subscription is answered")  # type: ignore[misc]

    async def may_publish(self, topic: str, payload: Mapping[str, Any] | str, *, response: str = "") -> bool:
        """Publish with QoS 1; whether the broker took it."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if response:
            properties.ResponseTopic = response
        body = payload if isinstance(payload, str) else orjson.dumps(payload)
        mid = self._client.publish(topic, body, 1, properties=properties).mid
        await eventually(lambda: mid in self._taken, f"the publish to {topic} is answered")
        return not self._taken[mid].is_failure
