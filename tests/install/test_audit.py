"""What is made of pip-audit's reports: silence about a package is not a clean bill."""

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.install.audit import CLEAN, FOUND, UNKNOWN, judge, main

GOOD = {"name": "lxml", "version": "6.0", "vulns": []}
BAD = {"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-2014-8", "fix_versions": ["2.7.2"]}]}
OPEN = {"name": "x", "version": "1", "vulns": [{"id": "GHSA-x", "fix_versions": []}]}
SKIPPED = {"name": "zeep", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("packages", "code", "lines"),
    [
        ([GOOD], CLEAN, ["no known vulnerability in 1 packages"]),
        (
            [GOOD, BAD, OPEN],
            FOUND,
            ["jinja2 2.4.1: PYSEC-2014-8, fixed in 2.7.2", "x 1: GHSA-x, fixed in nothing"],
        ),
        ([GOOD, SKIPPED], UNKNOWN, ["nothing is known of 1 of 2 packages: zeep"]),
        (
            [BAD, SKIPPED],
            FOUND,
            ["jinja2 2.4.1: PYSEC-2014-8, fixed in 2.7.2", "nothing is known of 1 of 2 packages: zeep"],
        ),
        ([], UNKNOWN, []),
    ],
)
def test_a_report_is_judged(packages: list[Any], code: int, lines: list[str]) -> None:
    """Found beats not known, and not known beats nothing found."""
    assert judge({"dependencies": packages}) == (code, lines)


@pytest.mark.parametrize("options", [[], ["--where-possible"]])
def test_no_report_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    """With the command to repeat; an error unless it is accepted."""
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    program.chmod(stat.S_IRWXU)
    assert main(str(program), "locks/program.lock", options) == (CLEAN if options else UNKNOWN)
    said = capsys.readouterr().out
    assert "pip-audit made no report: no network" in said
    assert "NOT AUDITED: locks/program.lock. Run `make audit`" in said
