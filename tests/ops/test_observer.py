"""What others do again and again is one line of the log and then a number, whatever they do."""

from collections import Counter

import pytest
import structlog
from prometheus_client import CollectorRegistry

from bridge.core.status import About, LinkFigures, LinkState, Status
from bridge.ops import broker_observer, command_observer
from bridge.ops.bugs import Bugs
from bridge.ops.metrics import Metrics
from bridge.ops.observer import Observer
from bridge.ops.pbx_observer import NAMED_AT_MOST

MORE = 10
NOTHING = LinkFigures(
    status=Status(LinkState.CONNECTING, "", 0, ""),
    about=About(),
    users=0,
    monitored=0,
    refused_users=0,
    calls=0,
    takeovers=0,
    broker_connected=False,
    outbox=0,
    oldest_s=None,
    dropped={},
)


@pytest.fixture
def observed() -> Observer:
    """The observer of a PBX."""
    registry = CollectorRegistry()
    return Observer("hq", Metrics(registry), Bugs(lambda _: None))


def test_a_fight_for_our_state_is_one_line(observed: Observer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice a second somebody may say what is not true: a reminder now and then tells how often."""
    with structlog.testing.capture_logs() as log:
        for _ in range(MORE):
            observed.contradicted()
        monkeypatch.setattr(broker_observer, "REMIND_S", 0.0)
        observed.contradicted()
    loud = [line for line in log if line["log_level"] != "debug"]
    assert [line["count"] for line in loud] == [1, MORE + 1]


def test_very_many_unreadable_records_are_not_all_named(observed: Observer) -> None:
    """Each once, and no more lines when there is no room to remember them."""
    with structlog.testing.capture_logs() as log:
        for number in range(NAMED_AT_MOST + MORE):
            observed.pbx.unreadable((f"record {number}",))
            observed.pbx.unreadable((f"record {number}",))
    assert sum(line["log_level"] != "debug" for line in log) == NAMED_AT_MOST


def test_a_flood_of_refusals_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how many since the last one; the metric has them all."""
    registry = CollectorRegistry()
    observed = Observer("hq", Metrics(registry), Bugs(lambda _: None))

    def flood() -> None:
        for _ in range(MORE):
            observed.commands.unanswered()
        observed.measure(NOTHING)

    with structlog.testing.capture_logs() as log:
        observed.measure(NOTHING)
        monkeypatch.setattr(command_observer, "REMIND_S", 1000.0)
        for _ in range(3):
            flood()
        monkeypatch.setattr(observed.commands, "_unanswered_again_s", 0.0)
        flood()
    counts = [line["count"] for line in log if line["event"] == "commands not answered"]
    assert counts == [MORE, 3 * MORE]
    assert registry.get_sample_value("innovaphone_mqtt_commands_unanswered_total", {"pbx": "hq"}) == 4 * MORE


def test_users_without_end_that_are_not_followed_are_few_lines(observed: Observer) -> None:
    """A few are named; a thousand are remembered, and who is followed after all is said of those."""
    with structlog.testing.capture_logs() as lines:
        for number in range(NAMED_AT_MOST + 500):
            observed.pbx.not_monitored(f"g{number}", f"User {number}", "refused")
        for number in range(NAMED_AT_MOST + 500):
            observed.pbx.monitored(f"g{number}")
    words = Counter(line["event"] for line in lines)

    assert words["user monitored at last"] == NAMED_AT_MOST
    assert words["user not monitored"] + words["more users not monitored"] <= 11


def test_a_limit_is_named_once(observed: Observer) -> None:
    """Each with what to do; how much was left out is a number."""
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            observed.left_out({"users": 5, "calls": 1})
        observed.broker.cleared(0)
        observed.broker.cleared(7)

    assert [(line["event"], line.get("limit")) for line in lines] == [
        ("limit reached", "users"),
        ("limit reached", "calls"),
        ("foreign states erased", None),
    ]
    assert all(line["hint"] for line in lines)


def test_a_reload_leaves_no_series_of_what_was_taken_out() -> None:
    """One address instead of two, and no locations any more. Before, both show in the status soon."""
    metrics = Metrics(CollectorRegistry())
    observed = Observer("hq", metrics, Bugs(lambda _: None))
    news = observed.news
    observed.chosen("pbx", "https://b.example", standby=True)
    observed.located({"B": "hq-b"}, {"C": "no address"})
    assert observed.news == news + 2
    for series in ("_standby{", "_locations{"):
        assert series in metrics.page().decode()
    observed.not_located()
    assert "_locations{" not in metrics.page().decode()
    Observer("hq", metrics, Bugs(lambda _: None))
    assert "_standby{" not in metrics.page().decode()
