"""Shards as processes: what they refuse, and one that has nothing to serve."""

import asyncio
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bridge import app
from bridge.cli import main
from bridge.config.schema import Config
from bridge.core.shard import shard_of
from bridge.sim.pbx import SimPbx
from tests.bus import Mosquitto, Observer, eventually, free_port
from tests.running import configuration, pbx_section


def ready(port: int) -> tuple[int, dict[str, bool]]:
    """Status and links of /readyz; 0 while nobody listens yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return answer.status, json.loads(answer.read())["links"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {}
    except urllib.error.URLError:
        return 0, {}


async def test_a_shard_without_a_pbx_idles_and_is_ready() -> None:
    """There may be more shards than PBXs."""
    port, stop = free_port(), asyncio.Event()
    section = {
        "name": "hq",
        "url": "http://127.0.0.1:9",
        "username": "u",
        "password": "p",
        "session_user": "A",
    }
    settings = {**configuration(1, section), "http": {"listen": f"127.0.0.1:{port}"}}
    task = asyncio.create_task(app.run(Config.model_validate(settings), (), stop))
    await eventually(lambda: ready(port) == (200, {}), "the idle shard is ready")
    stop.set()
    await task


async def test_each_shard_serves_its_pbx(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path
) -> None:
    """Two programs with one file, three PBXs: each PBX on its shard, and only there."""
    names, ports = ("hq", "branch", "south"), (free_port(), free_port())
    settings = configuration(broker.port, *(pbx_section(pbx, name=name) for name in names))
    shards = []
    for index, port in enumerate(ports):
        file = tmp_path / f"{index}.yaml"
        file.write_text(json.dumps({**settings, "http": {"listen": f"127.0.0.1:{port}"}}))
        run = (sys.executable, "-m", "bridge", "run", "-c", str(file), "--shard", f"{index}/2")
        shards.append(await asyncio.create_subprocess_exec(*run, stderr=asyncio.subprocess.DEVNULL))
    try:
        for name in names:
            await eventually(lambda: bus.now(f"innovaphone/{name}/state") == "online", f"{name} is online")  # noqa: B023  (awaited in the loop)
        for index, port in enumerate(ports):
            mine = {name: True for name in names if shard_of(name, 2) == index}
            await eventually(lambda: ready(port) == (200, mine), f"shard {index} is ready")  # noqa: B023  (same)
    finally:
        for shard in shards:
            shard.terminate()
        assert [await shard.wait() for shard in shards] == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--shard", "2/2"), "--shard '2/2': there is no shard 2; the first is 0, the last 1"),
        (("--shard", "auto/2"), "--shard 'auto/2': the host name 'laptop' does not end in a number"),
        (("--shard", "0/2", "--pbx", "hq"), "--pbx and --shard exclude each other"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As any problem of the configuration: exit 78 and a sentence."""
    file = tmp_path / "b.yaml"
    section = {
        "name": "hq",
        "url": "http://127.0.0.1:9",
        "username": "u",
        "password": "p",
        "session_user": "A",
    }
    file.write_text(json.dumps(configuration(1, section)))
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    monkeypatch.setattr(sys, "argv", ["innovaphone-mqtt", "run", "-c", str(file), *arguments])
    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == 78
    assert words in capsys.readouterr().err
