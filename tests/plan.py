"""How the suite is laid out: what `make test` leaves out, and what must not run side by side.

Runs nothing. Marks of single tests stand at the tests: `slow`, `alone`.
"""

from pathlib import Path

import pytest

SLOW = ("brokers", "container", "drills", "examples", "fuzz", "helm", "homeassistant", "install", "systemd")
"""Folders that `make test` leaves to `make test-all`: packaging, other programs, drills, fuzzing."""
SLOW_FILES = {
    "config/test_secrets_hidden.py": "starts the program for each mistake",
    "contract/test_client.py": "tools for Node.js",
    "link/test_control.py": "a link and its calls for each verb",
    "link/test_durable.py": "kills the program",
    "link/test_forged_states.py": "kills the program",
    "link/test_forwards.py": "reads users at a polite rate",
    "link/test_herd.py": "hundreds of links",
    "link/test_home_assistant.py": "starts a link several times for each case",
    "link/test_liveness.py": "waits until a part of a link is stuck",
    "link/test_queries.py": "a link for each query",
    "link/test_standby.py": "waits until a primary is trusted again",
    "link/test_takeover.py": "waits for bridges that stand back",
    "mqtt/test_answers.py": "a broker that ends one session after another",
    "mqtt/test_dots.py": "waits for brokers that change topics",
    "mqtt/test_effect.py": "waits for brokers that fail later",
    "mqtt/test_memory.py": "kills the program",
    "mqtt/test_peer_and_bridge.py": "thousands of messages through a broker of its own",
    "mqtt/test_poison.py": "a broker that ends one session after another",
    "mqtt/test_readback.py": "thousands of retained states",
    "mqtt/test_retained_commands.py": "waits for the limit of erasures",
    "mqtt/test_trial.py": "a broker and a whole check for each right",
    "ops/test_alerts.py": "starts promtool for each alert",
    "ops/test_crowd.py": "starts the program",
    "ops/test_notify.py": "starts the program",
    "pbx/test_hostile.py": "measures the memory that hostile answers cost",
    "test_cli.py": "starts the program for each mistake",
    "test_failures.py": "runs pytest in itself",
    "test_locations.py": "a link for each location of a system",
    "test_moves.py": "starts the program several times",
    "test_reload.py": "starts the program and lets it read its configuration again",
    "test_shards.py": "starts the program several times",
    "watch/test_watch.py": "starts the program, and brokers that come and go",
}
"""Files that `make test` leaves out, and the reason why their tests take long."""
ONE_BY_ONE = ("systemd", "test_architecture.py", "test_budgets.py", "test_words.py")
"""Folders and files that one worker runs: their tests share fixed ports, or files that are parsed once."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what `make test` leaves out: each worker would, and that takes seconds."""
    tests = Path(__file__).parent
    place = collection_path.relative_to(tests).as_posix() if tests in collection_path.parents else ""
    left_out = place in SLOW or place in SLOW_FILES
    return True if left_out and "not slow" in str(config.option.markexpr) else None


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
