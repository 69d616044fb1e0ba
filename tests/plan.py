"""How the suite is laid out: what `make test` leaves out, and what must not run side by side.

Runs nothing. Marks of single tests stand at the tests: `slow`, `alone`.
"""

from pathlib import Path

import pytest

SLOW = ("brokers", "container", "drills", "fuzz", "helm", "install", "systemd")
"""Folders that `make test` leaves to `make test-all`: packaging, other brokers, drills, fuzzing."""
SLOW_FILES = {
    "config/test_secrets_hidden.py": "starts the program for each mistake",
    "link/test_durable.py": "kills the program",
    "link/test_forged_states.py": "kills the program",
    "mqtt/test_answers.py": "a broker that ends one session after another",
    "mqtt/test_memory.py": "kills the program",
    "mqtt/test_poison.py": "a broker that ends one session after another",
    "mqtt/test_trial.py": "a broker and a whole check for each right",
    "ops/test_notify.py": "starts the program",
    "test_cli.py": "starts the program for each mistake",
    "test_failures.py": "runs pytest in itself",
    "test_reload.py": "starts the program and lets it read its configuration again",
    "test_shards.py": "starts the program several times",
}
"""Files that `make test` leaves out, and the reason why their tests take long."""
ONE_BY_ONE = ("systemd", "test_architecture.py", "test_budgets.py", "test_words.py")
"""Folders and files that one worker runs: their tests share fixed ports, or files that are parsed once."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these folders and files, before `-m` and the workers look at the marks."""
    for item in items:
        place = item.path.relative_to(Path(__file__).parent)
        folder = place.parts[0]
        if folder in SLOW or place.as_posix() in SLOW_FILES:
            item.add_marker(pytest.mark.slow)
        if folder in ONE_BY_ONE:
            item.add_marker(pytest.mark.xdist_group(folder))
