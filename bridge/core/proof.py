"""Lets two bridges with the same configuration recognise each other: a challenge and a response. No I/O.

Any client may answer a `ping` on the bus. So the id of a bridge's question contains an HMAC with a key that
is derived from the password for the broker, and so does the answer. A question without a valid HMAC gets no
HMAC in return: a client that may only write commands cannot collect material to guess the password offline.
The PBX's password is not used: the broker, and everybody who may read there, could try to guess it.
"""

import hashlib
import hmac
import re

NONCE_BYTES = 16
_QUESTION = re.compile(r"probe-([0-9a-f]{32})-([0-9a-f]{64})")
_SCRYPT = {"n": 2**13, "r": 8, "p": 1}
"""8 MiB and about 30 ms: what each guess costs a client that can read question and answer on the bus."""


def key_of(password: str, client_id: str) -> bytes:
    """The key of all bridges with this password and client id. Slow on purpose: run it once, in a thread."""
    salt = b"innovaphone-mqtt second bridge " + client_id.encode()
    return hashlib.scrypt(password.encode(errors="surrogatepass"), salt=salt, dklen=32, **_SCRYPT)


def question(key: bytes, nonce: bytes) -> str:
    """The id of a ping that asks for a bridge with this key."""
    return f"probe-{nonce.hex()}-{_code(key, 'question', nonce.hex())}"


def is_question(request_id: object) -> bool:
    """Whether this has the form of a question, with any key."""
    return isinstance(request_id, str) and _QUESTION.fullmatch(request_id) is not None


def is_ours(key: bytes, request_id: str) -> bool:
    """Whether this question was made with this key."""
    parts = _QUESTION.fullmatch(request_id)
    return parts is not None and hmac.compare_digest(_code(key, "question", parts[1]), parts[2])


def answer(key: bytes, request_id: str) -> str:
    """The response to a question, which only a bridge with this key can compute."""
    return _code(key, "answer", request_id)


def proves(key: bytes, request_id: str, said: object) -> bool:
    """Whether this is the correct response to the question."""
    expected = answer(key, request_id).encode()
    return isinstance(said, str) and hmac.compare_digest(expected, said.encode(errors="replace"))


def _code(key: bytes, what: str, text: str) -> str:
    return hmac.digest(key, f"{what} {text}".encode(), "sha256").hex()
