"""Distributes PBXs over processes by rendezvous (highest random weight) hashing of their names. Pure.

Each shard computes the same result without asking another. From N to N+1 shards about 1/(N+1) of the PBXs
move, all of them to the new shard. The other PBXs of the configuration do not matter.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

MOST_SHARDS = 10_000
_FORM = re.compile(r"(?P<index>auto|[0-9]{1,9}|)/(?P<shards>[0-9]{1,9})")
_ORDINAL = re.compile(r"[0-9]{1,9}$")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `shards` processes, counted from 0."""

    index: int
    shards: int

    def serves(self, name: str) -> bool:
        """Whether this shard serves the PBX with this name."""
        return shard_of(name, self.shards) == self.index


def shard_of(name: str, shards: int) -> int:
    """The shard, counted from 0, with the greatest weight for the name: equal in every process and Python."""
    return max(range(shards), key=lambda index: _weight(name, index))


def parse_shard(text: str, host_name: str) -> Shard:
    """Parse `I/N`. With `auto/N` or `/N`, I is the number at the end of the host name, such as of a pod.

    Raises ValueError with a sentence for the user.
    """
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"'{text[:40]}': expected I/N, like 0/3, or auto/3")
    shards = int(form["shards"])
    if not 1 <= shards <= MOST_SHARDS:
        raise ValueError(f"'{text}': expected 1 to {MOST_SHARDS} shards")
    given = form["index"] not in {"", "auto"}
    index = int(form["index"]) if given else _ordinal(text, host_name)
    if index >= shards:
        source = "" if given else f" (from the host name '{host_name}')"
        raise ValueError(
            f"'{text}': there is no shard {index}{source}; the first is 0, the last {shards - 1}"
        )
    return Shard(index, shards)


def _ordinal(text: str, host_name: str) -> int:
    found = _ORDINAL.search(host_name.partition(".")[0])
    if found is None:
        raise ValueError(f"'{text}': the host name '{host_name}' does not end in a number, as a pod's does")
    return int(found[0])


def _weight(name: str, index: int) -> bytes:
    return sha256(f"{index}/{name}".encode()).digest()
