"""paho's private parts: one file of ours touches them, and they are as they were when we read them."""

import ast
import hashlib
import inspect
import time
from collections import deque
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from bridge.mqtt import paho_client

ROOT = Path(__file__).parents[2]
OURS = Path(paho_client.__file__)
FILES = sorted((ROOT / "bridge").rglob("*.py"))
READ = {
    "Client._create_socket": "3043436f2eb23690",
    "Client._create_socket_connection": "fb7815d85a2c9461",
    "Client._loop_rc_handle": "ee5ad3b7849433a4",
    "Client._mid_generate": "55fc1e4a5f1584fb",
    "Client._packet_handle": "ac4c129ed409db42",
    "Client._packet_queue": "e298fa9ab31e5f79",
    "Client._packet_write": "d097b7b51bed128d",
    "Client._sock_recv": "c3b9043a46dd81b7",
    "Client._sock_send": "300d9f1031bd0dbd",
    "Client._ssl_wrap_socket": "a71513b1452dc33b",
    "_WebsocketWrapper.__init__": "0bd779ca47f56d42",
    "_WebsocketWrapper._create_frame": "ad4338747c60055f",
    "_WebsocketWrapper._do_handshake": "9d3a349b6f98d2d5",
    "_WebsocketWrapper._recv_impl": "1a36743bead41428",
    "_WebsocketWrapper._send_impl": "952059abe92ced05",
}
"""What we override or call, and what calls our overrides: the start of the SHA-256 of its source."""
STATE = {
    "_in_packet",
    "_last_bytes_received",
    "_out_packet",
    "_requested_size",
    "_sendbuffer",
    "_sock",
    "_socket",
}
"""Private attributes that we read or write."""


def source_of(name: str) -> str:
    """The digest of a method's source in the installed paho."""
    owner, method = name.split(".")
    text = inspect.getsource(getattr(getattr(paho, owner), method))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize(("name", "digest"), READ.items())
def test_paho_is_as_we_read_it(name: str, digest: str) -> None:
    """An upgrade of paho that changes one of these: compare it with our override, then pin the new digest."""
    assert source_of(name) == digest


def test_paho_keeps_its_packets_where_we_look() -> None:
    """The packet that is being read, and those that wait to be written."""
    client = paho.Client(CallbackAPIVersion.VERSION2)

    assert client._in_packet["command"] == client._in_packet["remaining_length"] == 0
    assert client._in_packet["packet"] == bytearray()
    assert client._out_packet == deque()
    assert client._sock is None
    assert client._last_bytes_received <= time.monotonic()


def test_every_private_name_that_we_use_is_pinned() -> None:
    """What is new in our file is compared with paho, too."""
    kinds = {name.split(".")[1] for name in READ} | STATE
    theirs = set(dir(paho.Client(CallbackAPIVersion.VERSION2))) | set(dir(paho._WebsocketWrapper)) | STATE
    tree = ast.walk(ast.parse(OURS.read_text()))
    used = {
        name
        for node in tree
        for name in (
            [node.attr]
            if isinstance(node, ast.Attribute)
            else [node.name]
            if isinstance(node, ast.FunctionDef)
            else []
        )
        if name.startswith("_") and name in theirs
    }

    assert used - {"__init__"} - kinds == set()
    assert STATE - used == set()


@pytest.mark.parametrize("path", [path for path in FILES if path != OURS], ids=lambda path: path.stem)
def test_only_one_file_touches_pahos_private_parts(path: Path) -> None:
    """Nobody else derives from paho's classes, or looks at a private name of something that is not itself."""
    tree = list(ast.walk(ast.parse(path.read_text())))
    bases = {ast.unparse(base) for node in tree if isinstance(node, ast.ClassDef) for base in node.bases}
    private = {
        ast.unparse(node)
        for node in tree
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and ast.unparse(node.value) not in {"self", "cls", "super()"}
    }

    assert {base for base in bases if base.startswith("paho.")} == set()
    assert {name for name in private if name.startswith(("paho.", "self._client."))} == set()
