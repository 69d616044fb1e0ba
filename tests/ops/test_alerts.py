"""The alerts that ship: valid, tested firing and quiet, over metrics that exist, with a way out."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ops.promtool import ALERTS, named, promtool, series

TESTS = ALERTS.with_name("alerts_test.yaml")
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]


@pytest.mark.slow
def test_promtool_takes_them() -> None:
    """Syntax, and every case of the test file."""
    code, said = promtool("check", "rules", str(ALERTS))
    assert code == 0, said
    code, said = promtool("test", "rules", str(TESTS))
    assert code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("was", "becomes"),
    [("== 0", "== 2"), ("> 14|> 1|> 2|> 3|> 6", "< -1"), ("unless ignoring .*", ""), ("1h", "1s")],
)
def test_the_test_file_has_teeth(was: str, becomes: str, tmp_path: Path) -> None:
    """Wrong alerts fail in it."""
    text = "\n".join(
        re.sub(was, becomes, line) if "expr" in line or line.startswith("          ") else line
        for line in ALERTS.read_text(encoding="utf-8").splitlines()
    )
    (tmp_path / ALERTS.name).write_text(text)
    (tmp_path / TESTS.name).write_text(TESTS.read_text(encoding="utf-8"))
    code, said = promtool("test", "rules", str(tmp_path / TESTS.name))
    assert (code, "FAILED" in said) == (1, True)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_over_metrics_that_exist(rule: dict[str, Any]) -> None:
    """Nobody is woken by a typing error, nor left asleep by one."""
    names = named(rule["expr"])
    assert names <= series()
    assert names or rule["expr"].startswith("up{")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_is_seen_firing_and_quiet(rule: dict[str, Any]) -> None:
    """Cases of both kinds in the test file."""
    cases = [
        case["exp_samples"] != []
        for test in yaml.safe_load(TESTS.read_text(encoding="utf-8"))["tests"]
        for case in test.get("promql_expr_test", [])
        if f'alertname="{rule["alert"]}"' in case["expr"]
    ]

    assert set(cases) == {True, False}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Severity, and three sentences."""
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "action"}
    assert all(text.strip()[-1] in ".?" for text in rule["annotations"].values())
