"""Shows skipped tests: one line for each reason. Skips nothing itself."""

from collections import Counter

import pytest


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Pytest's own summary has a line for each place: the same missing broker would fill a screen."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(_reason(one) for one in skipped)
    if not reasons:
        return
    terminalreporter.section("skipped, and why", "-")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5} {reason}")


def _reason(report: pytest.TestReport) -> str:
    """The reason without the first word of pytest, in one line, however it was written."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return " ".join(text.removeprefix("Skipped: ").split())
