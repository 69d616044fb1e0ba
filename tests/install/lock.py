"""Reads the lock files. Judges nothing."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "locks"
HASHES = r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+"
PINNED = re.compile(rf"([a-z0-9.-]+)==([\w.+!-]+)(?: ; ([^\\\n]+))?({HASHES})\n")


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock says: each distribution with its version, and those that this interpreter wants."""

    every: dict[str, str]
    here: dict[str, str]
    other: str  # what is neither that nor a comment


def read(name: str) -> Lock:
    """The lock of this name."""
    lines = (FOLDER / f"{name}.lock").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.strip().startswith("#"))
    found = list(PINNED.finditer(text))
    every = {each[1]: each[2] for each in found}
    here = {each[1]: each[2] for each in found if each[3] is None or Marker(each[3]).evaluate()}
    return Lock(every, here, PINNED.sub("", text))


def rehashed(name: str, hashes: dict[str, str]) -> str:
    """The text of a lock with other hashes, where there are others."""

    def changed(found: re.Match[str]) -> str:
        digest = hashes.get(found[1])
        return found[0] if digest is None else found[0].replace(found[4], f" --hash=sha256:{digest}")

    return PINNED.sub(changed, (FOLDER / f"{name}.lock").read_text())
