"""Command messages that no bridge should obey: broken on purpose, each in its own way. Sends nothing."""

import json
import random
from collections.abc import Iterator

DEEP = "[" * 10_000
WORDS = ("", "..", "a/b", "null", "true", "-1", "1e999", "\x00", "\ud800", "\ufffe", "%2e%2e", "x" * 70_000)
VERBS = ("call", "clear", "presence", "ping2", "", "%00", "CALL", "call ")


def pieces(chance: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    """So many (topic below command/, payload); none of them is a request that can be carried out."""
    makers = (_bytes, _wrong_types, _mutated, _words, _deep)
    for number in range(count):
        maker = makers[number % len(makers)]
        yield chance.choice(VERBS), maker(chance)
    yield "call", b"{" + b" " * (10 * 1024 * 1024)


def _bytes(chance: random.Random) -> bytes:
    return b"\xff" + chance.randbytes(chance.randrange(200))


def _wrong_types(chance: random.Random) -> bytes:
    wrong: object = chance.choice((None, True, -1, 1.5, [], {}, [[]], "x" * 300))
    return json.dumps({"id": wrong, "user": wrong, "number": [wrong], "call": {"a": wrong}}).encode()


def _mutated(chance: random.Random) -> bytes:
    """A good request without its end."""
    whole = b'{"id":"x","user":"p1","number":"0123","anonymous":true}'
    return whole[: chance.randrange(1, len(whole) - 1)]


def _words(chance: random.Random) -> bytes:
    """Values that mean nothing, in fields that are none."""
    body = {chance.choice(WORDS): chance.choice(WORDS), "user": chance.choice(WORDS)}
    return json.dumps(body).encode("utf-8", "surrogatepass")


def _deep(chance: random.Random) -> bytes:
    return (DEEP[: chance.randrange(2, 10_000)] + "NaN").encode()
