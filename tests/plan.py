"""How the suite is laid out: which folders `make test` leaves out, and what must not run side by side.

Runs nothing. Marks of single tests stand at the tests: `slow`, `alone`.
"""

from pathlib import Path

import pytest

SLOW = ("brokers", "container", "drills", "fuzz", "helm", "install", "systemd")
"""Folders that `make test` leaves to `make test-all`: packaging, other brokers, drills, fuzzing."""
ONE_BY_ONE = ("systemd",)
"""Folders whose tests share ports of this machine: one worker runs them all."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these folders, before `-m` and the workers look at the marks."""
    for item in items:
        folder = _folder(item)
        if folder in SLOW:
            item.add_marker(pytest.mark.slow)
        if folder in ONE_BY_ONE:
            item.add_marker(pytest.mark.xdist_group(folder))


def _folder(item: pytest.Item) -> str:
    """The first folder below tests/ that a test lies in, or nothing."""
    inside = item.path.relative_to(Path(__file__).parent).parts
    return inside[0] if len(inside) > 1 else ""
