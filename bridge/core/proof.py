"""How two bridges recognise each other: by what only their shared configuration lets them compute. No I/O.

Anybody may answer a `ping` on the bus. So the id of a bridge's question holds a code that nobody can make
without the password for the broker, and so does the answer. Nobody else's question is answered with a code:
who may only write commands gets nothing to try passwords on. The PBX's password is in no code: the broker and
all who may read there would get something to try that on.
"""

import hashlib
import hmac
import re

NONCE_BYTES = 16
_QUESTION = re.compile(r"probe-([0-9a-f]{32})-([0-9a-f]{64})")
_SCRYPT = {"n": 2**13, "r": 8, "p": 1}
"""8 MiB and some 30 ms: whoever can read question and answer on the bus must spend that for each guess."""


def key_of(password: str, client_id: str) -> bytes:
    """The key of all bridges with this password and client id. Takes long: for a thread, once."""
    salt = b"innovaphone-mqtt second bridge " + client_id.encode()
    return hashlib.scrypt(password.encode(errors="surrogatepass"), salt=salt, dklen=32, **_SCRYPT)


def question(key: bytes, nonce: bytes) -> str:
    """The id of a ping that asks whether a bridge with this key is there."""
    return f"probe-{nonce.hex()}-{_code(key, 'question', nonce.hex())}"


def is_question(request_id: object) -> bool:
    """Whether this has the form of a question, made with whatever key."""
    return isinstance(request_id, str) and _QUESTION.fullmatch(request_id) is not None


def is_ours(key: bytes, request_id: str) -> bool:
    """Whether this question was made with our key."""
    parts = _QUESTION.fullmatch(request_id)
    return parts is not None and hmac.compare_digest(_code(key, "question", parts[1]), parts[2])


def answer(key: bytes, request_id: str) -> str:
    """What only a bridge with this key can say to a question."""
    return _code(key, "answer", request_id)


def proves(key: bytes, request_id: str, said: object) -> bool:
    """Whether this is the answer to our question."""
    expected = answer(key, request_id).encode()
    return isinstance(said, str) and hmac.compare_digest(expected, said.encode(errors="replace"))


def _code(key: bytes, what: str, text: str) -> str:
    return hmac.digest(key, f"{what} {text}".encode(), "sha256").hex()
