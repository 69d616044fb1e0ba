"""The bridge that one would write in an afternoon: zeep's objects, the standard json, paho's own thread.

It publishes what the bridge publishes, an event and the state of its user, from what zeep has decoded. Its
PBX answers in the form that zeep reads without help. It checks nothing, limits nothing and never reconnects.
"""

import argparse
import json
import time
from importlib.resources import as_file, files
from typing import Any

import requests
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from requests.auth import HTTPDigestAuth
from zeep import Client, Settings
from zeep.helpers import serialize_object
from zeep.transports import Transport

_BINDING = "{http://innovaphone.com/pbx}pbxBinding"


class Naive:
    """One PBX and one broker."""

    def __init__(self, url: str, port: int, name: str) -> None:
        session = requests.Session()
        session.auth = HTTPDigestAuth("admin", "secret")
        settings = Settings(strict=False, xsd_ignore_sequence_order=True)
        with as_file(files("bridge.pbx") / "pbx.wsdl") as path:
            client = Client(str(path), transport=Transport(session=session), settings=settings)
        self._service = client.create_service(_BINDING, url)
        self._base = f"bench/{name}"
        self._users: dict[str, dict[str, Any]] = {}
        self._by_handle: dict[int, dict[str, Any]] = {}
        self._seq = 0
        self._mqtt = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._mqtt.connect("127.0.0.1", port)
        self._mqtt.loop_start()

    def run(self, *, monitor: bool) -> None:
        """Poll for ever."""
        flags = dict.fromkeys(("v", "v501", "v700", "v800", "vx1000"), True)
        session = self._service.Initialize(user="API", appl="naive", **flags)["return"]
        while True:
            answer = serialize_object(self._service.Poll(session=session), dict) or {}
            for user in _items(answer["user"]):
                if user["cn"]:
                    self._user(user)
                elif monitor:
                    self._monitor(session)
            for call in _items(answer["call"]):
                self._call(call)

    def _monitor(self, session: int) -> None:
        for user in self._users.values():
            made = self._service.UserInitialize(
                session=session, user=user["name"], xfer=True, disc=False, hw=""
            )
            self._by_handle[made] = user

    def _user(self, record: dict[str, Any]) -> None:
        user = self._users.setdefault(record["guid"], {"calls": {}, "last_call": None, "missed": 0})
        user |= {
            "schema": 1,
            "pbx": "hq",
            "user": record["h323"],
            "guid": record["guid"],
            "name": record["cn"],
            "display_name": record["dn"],
            "number": record["e164"],
            "type": record["type"],
            "active": record["active"],
            "registered": record["state"] == 1,
            "alerting": record["alert"],
            "channels": record["channel"],
            "groups": record["groups"],
            "emails": record["email"],
            "location": record["loc"],
            "node": record["node"],
            "presence": record["presence"],
        }
        self._publish_state(user)

    def _call(self, record: dict[str, Any]) -> None:
        user = self._by_handle.get(record["user"])
        if user is None:
            return
        self._seq += 1
        call = {key: record[key] for key in ("call", "state", "msg", "active", "info")}
        call |= dict(zip(("remote", "local"), _items(record["No"]), strict=False)) | {"seen_at": time.time()}
        call |= {
            "held": bool(record["state"] & 0x100),
            "direction": "in" if record["state"] & 0x80 else "out",
        }
        if record["active"]:
            user["calls"][record["call"]] = call
        else:
            user["calls"].pop(record["call"], None)
            user["last_call"] = call
        event = {"schema": 1, "seq": self._seq, "time": time.time(), "user": user["user"], "call": call}
        self._publish(user, "event", event, retain=False)
        self._publish_state(user)

    def _publish_state(self, user: dict[str, Any]) -> None:
        self._publish(user, "state", {**user, "calls": list(user["calls"].values())}, retain=True)

    def _publish(self, user: dict[str, Any], kind: str, payload: dict[str, Any], *, retain: bool) -> None:
        topic = f"{self._base}/user/{user['user']}/{kind}"
        self._mqtt.publish(topic, json.dumps(payload), qos=1, retain=retain)


def _items(array: dict[str, Any] | None) -> list[dict[str, Any]]:
    return (array or {}).get("item") or []


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("port", type=int)
    parser.add_argument("name")
    parser.add_argument("--monitor", action="store_true")
    options = parser.parse_args()
    Naive(options.url, options.port, options.name).run(monitor=options.monitor)


if __name__ == "__main__":
    _main()
