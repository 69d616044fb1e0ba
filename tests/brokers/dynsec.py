"""For tests: the file of Mosquitto's plugin for dynamic security, with a bridge and an observer. No I/O."""

import base64
import hashlib
from collections.abc import Sequence

ROUNDS = 101
"""The plugin's own default."""


def configuration(read: Sequence[str], written: Sequence[str]) -> dict[str, object]:
    """What the bridge may read and write below its PBX; the observer may everything."""
    allowed = [_right("publishClientSend", f"+/hq/{each}") for each in written]
    allowed += [_right("publishClientSend", "+/reply/#")]
    allowed += [_right(kind, f"+/hq/{each}") for each in read for kind in _READING]
    everything = [_right(kind, "#") for kind in (*_READING, "publishClientSend")]
    access = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    return {
        "defaultACLAccess": {kind: kind == "unsubscribe" for kind in access},
        "clients": [_client("bridge"), _client("observer")],
        "roles": [{"rolename": "bridge", "acls": allowed}, {"rolename": "observer", "acls": everything}],
    }


_READING = ("publishClientReceive", "subscribePattern")


def _right(kind: str, topic: str) -> dict[str, object]:
    return {"acltype": kind, "topic": topic, "allow": True}


def _client(name: str) -> dict[str, object]:
    salt = name.encode().ljust(12, b".")
    password = hashlib.pbkdf2_hmac("sha512", b"secret", salt, ROUNDS, 64)
    return {
        "username": name,
        "salt": base64.b64encode(salt).decode(),
        "password": base64.b64encode(password).decode(),
        "iterations": ROUNDS,
        "roles": [{"rolename": name}],
    }
