"""For tests: the files of config/examples with other ports, paths and passwords, as brokers that run."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme

from tests.brokers import dynsec
from tests.brokers.servers import V3, V5, Server, missing, printed
from tests.bus import free_port, mosquitto_path

EXAMPLES = Path(__file__).parents[2] / "config/examples"
PEOPLE = ("dashboard", "anna-desk", "presence-bot")
CA = trustme.CA()


class Example(Server):
    """Mosquitto with an example. `base`: the base topic of its rights; a + is any."""

    protocols = (V5, V3)
    asks_for_password = True
    file = "mosquitto.conf"

    def __init__(self, folder: Path, base: str = "+") -> None:
        super().__init__(folder)
        self.people_port = free_port()
        self._base = base

    def commands(self) -> Sequence[Sequence[str]]:
        """The broker with its files."""
        self.write_rights()
        self._write_certificate()
        text = (EXAMPLES / self.file).read_text(encoding="utf-8")
        for old, new in self.changes().items():
            assert old in text
            text = text.replace(old, new)
        if os.geteuid() == 0:
            text += "user root\n"  # else it could not read the files of a test that runs as root
        file = self.folder / "mosquitto.conf"
        file.write_text(text)
        return [[mosquitto_path(), "-c", str(file)]]

    def changes(self) -> Mapping[str, str]:
        """What a test cannot take as it is."""
        return {
            "listener 1884 127.0.0.1": f"listener {self.port} 127.0.0.1",
            "listener 8883": f"listener {self.people_port} 127.0.0.1",
            "/etc/mosquitto/innovaphone/": f"{self.folder}/",
            "/var/lib/mosquitto/": f"{self.folder}/",
        }

    def write_rights(self) -> None:
        """Write the passwords, and what each user may do."""
        raise NotImplementedError

    @staticmethod
    def version() -> str:
        """As its help says."""
        return printed(mosquitto_path(), "-h").split()[2]

    def rights(self, name: str) -> str:
        """An example of rights for this base topic."""
        return (EXAMPLES / name).read_text(encoding="utf-8").replace("innovaphone/", f"{self._base}/")

    def _write_certificate(self) -> None:
        server = CA.issue_cert("127.0.0.1")
        CA.cert_pem.write_to_path(self.folder / "ca.pem")
        server.private_key_pem.write_to_path(self.folder / "server.key")
        (self.folder / "server.pem").write_bytes(b"".join(each.bytes() for each in server.cert_chain_pems))


class AccessList(Example):
    """The example with access lists, and an observer beside the bridge."""

    def write_rights(self) -> None:
        """Two files of passwords and two of rights; skips where there is no Mosquitto."""
        mosquitto_path()  # its package has mosquitto_passwd, too
        (self.folder / "bridge.acl").write_text(f"{self.bridge_rights()}\nuser observer\ntopic readwrite #\n")
        (self.folder / "people.acl").write_text(self.rights("people.acl"))
        for name, users in (("bridge", ("bridge", "observer")), ("people", PEOPLE)):
            file = self.folder / f"{name}.passwords"
            file.write_text("".join(f"{user}:secret\n" for user in users))
            subprocess.run(["mosquitto_passwd", "-U", str(file)], check=True, capture_output=True, timeout=10)
            file.chmod(0o600)

    def bridge_rights(self) -> str:
        """What the bridge may do."""
        return self.rights("bridge.acl")


class ForHomeAssistant(AccessList):
    """The same with the lines for discovery by device."""

    def bridge_rights(self) -> str:
        """What the bridge may do."""
        lines = super().bridge_rights().splitlines()
        wanted = ("homeassistant/device/+/config", "homeassistant/status")
        return "\n".join(each.removeprefix("# ") if each.endswith(wanted) else each for each in lines)


class CommandsUnread(AccessList):
    """The same, but commands are not read: Mosquitto accepts the subscription and delivers nothing."""

    def bridge_rights(self) -> str:
        """What the bridge may do."""
        lines = super().bridge_rights().splitlines()
        return "\n".join(
            each.replace("readwrite", "write") if "/command/" in each else each for each in lines
        )


class DynamicSecurity(Example):
    """The example with the plugin for dynamic security."""

    file = "mosquitto-dynsec.conf"

    def changes(self) -> Mapping[str, str]:
        """The plugin is elsewhere on other machines."""
        plugin = next(iter(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")), None)
        if plugin is None:
            missing("mosquitto_dynamic_security.so is not installed (it comes with Debian's mosquitto)")
        example = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so"
        return {**super().changes(), example: str(plugin)}

    def write_rights(self) -> None:
        """The plugin's own file."""
        rights = dynsec.usable(json.loads(self.rights("dynamic-security.json")))
        (self.folder / "dynamic-security.json").write_text(json.dumps(self.changed(rights)))

    def changed(self, rights: dict[str, Any]) -> dict[str, Any]:
        """The rights with what a test wants otherwise."""
        return rights


class Lacking(DynamicSecurity):
    """The same; the bridge lacks one kind of right for topics that end so."""

    kind, topic = "", ""

    def changed(self, rights: dict[str, Any]) -> dict[str, Any]:
        """Without it."""
        return dynsec.without(rights, "bridge", (self.kind,), self.topic)


class FilterDenied(Lacking):
    """The same, but the subscription to the commands of users is refused."""

    kind, topic = "subscribePattern", "/user/+/command/+"


class TiedToOneId(DynamicSecurity):
    """The same, but the bridge's user may use the client id of its link only."""

    def changed(self, rights: dict[str, Any]) -> dict[str, Any]:
        """With that id."""
        tied = [
            each | ({"clientid": "innovaphone-mqtt-hq"} if each["username"] == "bridge" else {})
            for each in rights["clients"]
        ]
        return {**rights, "clients": tied}
