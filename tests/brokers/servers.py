"""For tests: each broker as a process on a free loopback port. None remembers anything after a restart."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from tests.brokers import rabbit
from tests.bus import free_port, mosquitto_path

HERE = Path(__file__).parent
START_S = 60.0
"""RabbitMQ takes 8 s on an idle machine."""
V3, V5 = "3.1.1", "5"


def missing(reason: str) -> None:
    """Leave the test out and say what to install; in CI everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, reason: str) -> str:
    """The path of a program."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/rabbitmq/bin")
    if path is None:
        missing(f"{name} is not installed ({reason}): its rows of the broker matrix are left out")
    return path or ""


def printed(*command: str) -> str:
    """The output of a program that tells its version."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
    return done.stdout


class Server:
    """A broker that can be started and killed."""

    protocols: tuple[str, ...] = (V3,)
    asks_for_password = False
    qos = 1

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    def commands(self) -> Sequence[Sequence[str]]:
        """The command lines that make this broker."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables that they need."""
        return {}

    @staticmethod
    def version() -> str:
        """The version of the installed program."""
        raise NotImplementedError

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        with (self.folder / "broker.log").open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self.environment()},
                    start_new_session=True,
                )
                for command in self.commands()
            ]
        end_s = time.monotonic() + START_S
        while not self._accepts():
            if time.monotonic() > end_s or self._processes[-1].poll() is not None:
                self.kill()
                pytest.fail(f"the broker does not start: {(self.folder / 'broker.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and its children at once."""
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes = []

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Mosquitto(Server):
    """Mosquitto with some settings."""

    protocols = (V5, V3)
    settings: tuple[str, ...] = ()

    def commands(self) -> Sequence[Sequence[str]]:
        """The broker with its file."""
        path = mosquitto_path()
        lines = [f"listener {self.port} 127.0.0.1", "set_tcp_nodelay true", *self.settings]
        lines.append("allow_anonymous true")
        if os.geteuid() == 0:
            lines.append("user root")  # else it could not read the files of a test that runs as root
        file = self.folder / "mosquitto.conf"
        file.write_text("\n".join(lines) + "\n")
        return [[path, "-c", str(file)]]

    @staticmethod
    def version() -> str:
        """As its help says."""
        return printed(mosquitto_path(), "-h").split()[2]


class WithoutRetain(Mosquitto):
    """Mosquitto that retains nothing."""

    settings = ("retain_available false",)


class QosZero(Mosquitto):
    """Mosquitto with maximum QoS 0."""

    qos = 0
    settings = ("max_qos 0",)


class SmallPackets(Mosquitto):
    """Mosquitto that takes packets of one kilobyte and a half."""

    settings = ("max_packet_size 1500",)


class SmallPayloads(Mosquitto):
    """Mosquitto that takes payloads of one kilobyte and a half."""

    settings = ("message_size_limit 1500",)


READ = ("state", "user/+/state", "command/+", "user/+/command/+", "response/ping", "dot.check")
WRITTEN = (
    "state",
    "info",
    "user/+/state",
    "user/+/event",
    "command/+",
    "user/+/command/+",
    "response/+",
    "dot.check",
)
"""What a bridge must be allowed to do below its base topic and its PBX, as config/examples say."""


class Amqtt(Server):
    """amqtt, the broker of the demo where there is no Mosquitto."""

    def commands(self) -> Sequence[Sequence[str]]:
        """Its own program with a file of ours."""
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}
        plugin = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        file = self.folder / "amqtt.yaml"
        file.write_text(json.dumps({"listeners": {"default": listener}, "plugins": plugin}))
        return [[sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(file)]]

    @staticmethod
    def version() -> str:
        """The version of the package."""
        return metadata.version("amqtt")


class Aedes(Server):
    """aedes, the broker for Node.js and in Node-RED."""

    folder_of_server = HERE / "aedes"

    def commands(self) -> Sequence[Sequence[str]]:
        """Our server of a few lines."""
        node = program("node", "apt install nodejs npm")
        if not (self.folder_of_server / "node_modules/aedes").is_dir():
            missing("aedes is not installed (npm ci --prefix tests/brokers/aedes): its rows are left out")
        return [[node, str(self.folder_of_server / "server.js"), str(self.port)]]

    @staticmethod
    def version() -> str:
        """The version of the package."""
        package = HERE / "aedes/node_modules/aedes/package.json"
        return str(json.loads(package.read_text())["version"])


class RabbitMq(Server):
    """RabbitMQ with its MQTT plugin, as a node of its own with a port mapper of its own."""

    protocols: tuple[str, ...] = (V5, V3)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._mapper_port, self._node_port = free_port(), free_port()

    def commands(self) -> Sequence[Sequence[str]]:
        """The port mapper of Erlang, then the node."""
        server = program("rabbitmq-server", "apt install rabbitmq-server")
        if self.speaks_v5() != (V5 in self.protocols):
            pytest.skip(f"RabbitMQ {self.version()} is installed: these rows are about others")
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        (self.folder / "enabled_plugins").write_text("[rabbitmq_mqtt].\n")
        (self.folder / "rabbitmq.conf").write_text(
            "listeners.tcp = none\n"
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "mqtt.allow_anonymous = true\n"
            "log.console = true\n" + self.users()
        )
        mapper = ["epmd", "-port", str(self._mapper_port), "-address", "127.0.0.1"]
        return [mapper, [server.replace("/sbin/", "/lib/rabbitmq/bin/")]]

    def users(self) -> str:
        """Settings that make users."""
        return ""

    def environment(self) -> Mapping[str, str]:
        """Where the node keeps its things; nothing of the machine's own RabbitMQ is read."""
        return {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"matrix{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
        }

    @staticmethod
    def version() -> str:
        """As the folder of its package says: asking the program takes seconds."""
        program("rabbitmq-server", "apt install rabbitmq-server")
        folder = next(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
        return folder.name.removeprefix("rabbitmq_server-")

    @classmethod
    def speaks_v5(cls) -> bool:
        """The installed one knows MQTT 5: 3.13 was the first."""
        major, minor = cls.version().split(".")[:2]
        return (int(major), int(minor)) >= (3, 13)


class RabbitMqBefore(RabbitMq):
    """The same before it knew MQTT 5."""

    protocols = (V3,)


class TopicPermissions(RabbitMq):
    """The same with a user that has every right that the bridge needs, and no other."""

    asks_for_password = True

    def users(self) -> str:
        """They are in a file of definitions."""
        file = self.folder / "definitions.json"
        file.write_text(json.dumps(rabbit.definitions(READ, WRITTEN)))
        return f"load_definitions = {file}\n"
