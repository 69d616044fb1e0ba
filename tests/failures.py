"""Shows failed tests: a few whole, many in one line each, all of them in a file. Judges nothing."""

from pathlib import Path

import pytest

FILE = Path("build/test-failures.txt")
FEW = 3


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Before pytest's summary: write the file, and have pytest leave out the traces of more than a few."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not isinstance(reporter, pytest.TerminalReporter) or not (failed := _failed(reporter)):
        return
    file = session.config.rootpath / FILE
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join(f"{'=' * 20} {one.nodeid}\n{_whole(one)}" for one in failed), encoding="utf-8")
    for one in failed:
        _to_one_line(one)
    if len(failed) > FEW:
        session.config.option.tbstyle = "no"
        reporter.write_line(f"\n{len(failed)} tests failed; their traces are in {FILE}")


def _failed(reporter: pytest.TerminalReporter) -> list[pytest.TestReport]:
    return [*reporter.stats.get("error", []), *reporter.stats.get("failed", [])]


def _whole(report: pytest.TestReport) -> str:
    sections = "".join(f"--- {title}\n{text}\n" for title, text in report.sections)
    return f"{report.longreprtext}\n{sections}"


def _to_one_line(report: pytest.TestReport) -> None:
    """A message of several lines would be a summary of many (in CI pytest shows all of it)."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        crash.message = next(iter(crash.message.splitlines()), "")
