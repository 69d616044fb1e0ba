"""Home Assistant that runs, and what it says over its WebSocket API. Knows nothing of the bridge."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.bus import eventually, free_port
from tests.homeassistant.place import CONFIG, PYTHON, inside

START_S = 120.0
ANSWER_S = 60.0
STARTED = "homeassistant_started"
OWNER = {"name": "Owner", "username": "owner", "password": "secret", "language": "en"}
CONFIGURATION = """
homeassistant:
  name: House
  country: DE
  time_zone: UTC
  packages: !include_dir_named packages
http:
  server_host: 127.0.0.1
  server_port: {port}
logger:
  default: warning
"""
ONBOARDED = {"version": 4, "key": "onboarding", "data": {"done": ["core_config", "analytics", "integration"]}}
"""The steps of the first start that want the internet are said to be done; the owner is still to be made."""
Object = dict[str, Any]


@dataclass(slots=True)
class HomeAssistant:
    """One that runs: its states, and what it has registered, as they are now."""

    url: str
    tokens: Object
    log_file: Path
    connection: ClientConnection
    started: bool = False
    states: dict[str, Object] = field(default_factory=dict)
    entities: set[str] = field(default_factory=set)
    history: list[tuple[str, str]] = field(default_factory=list)
    _answers: dict[int, asyncio.Future[Any]] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """What it has logged: warnings and errors."""
        return self.log_file.read_text(encoding="utf-8")

    def state(self, entity: str) -> str | None:
        """The state of an entity; None where there is no such entity."""
        found = self.states.get(entity)
        return None if found is None else found["state"]

    def attribute(self, entity: str, name: str) -> Any:
        """An attribute of an entity's state."""
        return self.states.get(entity, {}).get("attributes", {}).get(name)

    def changes(self, entity: str) -> list[str]:
        """The states that an entity has changed to."""
        return [state for each, state in self.history if each == entity]

    async def ask(self, kind: str, **fields: Any) -> Any:
        """Send a command of the WebSocket API; its result. Fails with what Home Assistant has against it."""
        number = len(self._answers) + 1
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self.connection.send(json.dumps({"id": number, "type": kind, **fields}))
        async with asyncio.timeout(ANSWER_S):
            answer = await self._answers[number]
        assert answer["success"], f"{kind} {fields}: {answer['error']}"
        return answer["result"]

    async def act(self, entity: str, service: str, **data: Any) -> None:
        """Call a service for an entity, as its button on a dashboard does."""
        domain, _, action = service.partition(".")
        await self.ask(
            "call_service", domain=domain, service=action, service_data=data, target={"entity_id": entity}
        )

    async def devices(self) -> dict[str, Object]:
        """The devices of MQTT, by name."""
        found = await self.ask("config/device_registry/list")
        return {
            one["name"]: one
            for one in found
            if any(kind == "mqtt" for kind, _ in map(tuple, one["identifiers"]))
        }

    async def entities_of(self, device: str) -> dict[str, Object]:
        """The registered entities of a device, by their unique id."""
        found = await self.ask("config/entity_registry/list")
        return {one["unique_id"]: one for one in found if one["device_id"] == device}

    async def listen(self) -> None:
        """Keep what it tells, until the connection ends; what is unanswered then fails."""
        try:
            async for text in self.connection:
                message = json.loads(text)
                if message["type"] == "event":
                    self._on_event(message["event"])
                elif not (answer := self._answers[message["id"]]).done():
                    answer.set_result(message)
        except ConnectionClosed:
            return
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("Home Assistant has ended the connection"))

    def _on_event(self, event: Object) -> None:
        if event["event_type"] == STARTED:
            self.started = True
            return
        data = event["data"]
        entity = data["entity_id"]
        if event["event_type"] == "state_changed":
            if data["new_state"] is None:
                self.states.pop(entity, None)
            else:
                self.states[entity] = data["new_state"]
                self.history.append((entity, data["new_state"]["state"]))
        elif data["action"] == "create":
            self.entities.add(entity)
        elif data["action"] == "remove":
            self.entities.discard(entity)
        elif "old_entity_id" in data:
            self.entities.discard(data["old_entity_id"])
            self.entities.add(entity)

    async def follow(self) -> None:
        """Learn what there is, and hear of every change from now on."""
        for kind in (STARTED, "state_changed", "entity_registry_updated"):
            await self.ask("subscribe_events", event_type=kind)
        self.started |= (await self.ask("get_config"))["state"] == "RUNNING"
        await eventually(lambda: self.started, "Home Assistant has started", START_S)
        self.states |= {one["entity_id"]: one for one in await self.ask("get_states")}
        self.entities |= {one["entity_id"] for one in await self.ask("config/entity_registry/list")}
        self.history.clear()


@asynccontextmanager
async def home_assistant(
    root: Path, folder: Path, packages: dict[str, str], broker_port: int
) -> AsyncIterator[HomeAssistant]:
    """Start it with an empty configuration and these packages; make its owner; connect it to a broker."""
    port = free_port()
    config = folder / "homeassistant"
    (config / ".storage").mkdir(parents=True)
    (config / "packages").mkdir()
    (config / "configuration.yaml").write_text(CONFIGURATION.format(port=port))
    (config / ".storage" / "onboarding").write_text(json.dumps(ONBOARDED))
    for name, text in packages.items():
        (config / "packages" / f"{name}.yaml").write_text(text)
    log = folder / "homeassistant.log"
    async with _process(root, config, log) as process:
        url = f"http://127.0.0.1:{port}"
        await _up(process, url, log)
        tokens = await asyncio.to_thread(_set_up, url, broker_port)
        async with connect(f"{url.replace('http', 'ws')}/api/websocket", max_size=None) as connection:
            await connection.recv()
            await connection.send(json.dumps({"type": "auth", "access_token": tokens["access_token"]}))
            assert json.loads(await connection.recv())["type"] == "auth_ok"
            running = HomeAssistant(url, tokens, log, connection)
            listening = asyncio.create_task(running.listen())
            await running.follow()
            yield running
        await listening


@asynccontextmanager
async def _process(root: Path, config: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *inside(root, config, PYTHON, "-m", "homeassistant", "--config", CONFIG, "--skip-pip"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _up(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    """Wait until it answers; a busy machine may take longer for it than one attempt waits."""
    try:
        async with asyncio.timeout(START_S):
            while not await asyncio.to_thread(accepts, url):
                assert process.returncode is None, _end_of(log)
                await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"Home Assistant is not up within {START_S:g} s: {_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8")[-3000:]


def accepts(url: str) -> bool:
    """Whether it answers, and in time."""
    try:
        return requests.get(f"{url}/api/onboarding", timeout=1).ok
    except (requests.ConnectionError, requests.Timeout):
        return False


def _set_up(url: str, broker_port: int) -> Object:
    """What a person does in the first minutes: the owner, a login, the integration MQTT."""
    client = f"{url}/"
    code = _post(f"{url}/api/onboarding/users", json={**OWNER, "client_id": client})["auth_code"]
    grant = {"grant_type": "authorization_code", "code": code, "client_id": client}
    tokens = _post(f"{url}/auth/token", data=grant)
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    flows = f"{url}/api/config/config_entries/flow"
    flow = _post(flows, json={"handler": "mqtt"}, headers=header)
    broker = {"broker": "127.0.0.1", "port": broker_port}
    made = _post(f"{flows}/{flow['flow_id']}", json=broker, headers=header)
    assert made["type"] == "create_entry", made
    return tokens


def _post(url: str, **body: Any) -> Object:
    answer = requests.post(url, timeout=60, **body)
    assert answer.ok, f"{url}: {answer.status_code} {answer.text}"
    found: Object = answer.json()
    return found
