"""For tests: passwords for a file of Mosquitto's dynamic-security plugin, and an observer in it. No I/O."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

ROUNDS = 101
"""The plugin's own default."""
KINDS = ("publishClientReceive", "subscribePattern", "publishClientSend")


def usable(example: Mapping[str, Any]) -> dict[str, Any]:
    """The same rights; each client has the password `secret`, and an observer may do everything."""
    everything = [{"acltype": kind, "topic": "#", "allow": True} for kind in KINDS]
    clients = [*example["clients"], {"username": "observer", "roles": [{"rolename": "observer"}]}]
    return {
        **example,
        "clients": [{**each, **_password(each["username"])} for each in clients],
        "roles": [*example["roles"], {"rolename": "observer", "acls": everything}],
    }


def without(rights: Mapping[str, Any], role: str, kinds: tuple[str, ...], topic: str) -> dict[str, Any]:
    """The same file; the role lacks these kinds of right for one topic."""
    return {**rights, "roles": list(_without(rights["roles"], role, kinds, topic))}


def _without(
    roles: list[dict[str, Any]], role: str, kinds: tuple[str, ...], topic: str
) -> Iterator[dict[str, Any]]:
    for each in roles:
        kept = [
            acl
            for acl in each["acls"]
            if each["rolename"] != role or acl["acltype"] not in kinds or not acl["topic"].endswith(topic)
        ]
        yield {**each, "acls": kept}


def _password(name: str) -> dict[str, object]:
    salt = name.encode().ljust(12, b".")
    password = hashlib.pbkdf2_hmac("sha512", b"secret", salt, ROUNDS, 64)
    return {
        "salt": base64.b64encode(salt).decode(),
        "password": base64.b64encode(password).decode(),
        "iterations": ROUNDS,
    }
