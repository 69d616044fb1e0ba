"""Keeps the addresses of found locations in the state directory, for a start while the master is away.

Blocks, so it gets a thread. A file that cannot be used is as good as none: the master tells everything anew.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from bridge.link.state_files import make_ours

_LONGEST = 1024 * 1024


class KeptAddresses:
    """The file of one master; without a state directory nothing is kept."""

    def __init__(self, folder: Path | None, master: str) -> None:
        self._path = None if folder is None else folder / f"{master}.locations.json"

    def read(self) -> Mapping[str, str]:
        """The addresses by location, as an earlier run left them."""
        if self._path is None:
            return {}
        try:
            make_ours(self._path)
            text = self._path.read_bytes()[: _LONGEST + 1]
            found: object = json.loads(text) if len(text) <= _LONGEST else None
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict) or not all(isinstance(url, str) for url in found.values()):
            return {}
        return found

    def write(self, addresses: Mapping[str, str]) -> None:
        """Replace the file. The store of the link reports a directory that cannot be written."""
        if self._path is None:
            return
        new = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):
            make_ours(new)
            new.write_text(json.dumps(addresses), encoding="utf-8")
            os.replace(new, self._path)  # noqa: PTH105  (says what happens to the old one)
