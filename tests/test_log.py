"""Log lines stay lines, whatever is in them: callers, users and strangers choose their own names."""

import json

import pytest
import structlog

from bridge import log

NASTY = 'x\n2026-11-24 level=error event="all is lost"\r\x1b[2J\x1b]0;title\x07\u2028\u202eend'


def logged(capsys: pytest.CaptureFixture[str], style: str, value: str) -> str:
    """What a line with this value, and a bug that quotes it, put into the log."""
    log.configure("info", style)
    logger = structlog.get_logger(pbx="hq")
    logger.info("call", name=value)
    logger.error("bug", exc_info=RuntimeError(value))
    return capsys.readouterr().err


@pytest.mark.parametrize("style", ["text", "json"])
def test_nothing_forges_a_line(capsys: pytest.CaptureFixture[str], style: str) -> None:
    """Two occurrences, two lines, and no control character in them but their ends."""
    output = logged(capsys, style, NASTY)
    assert output.count("\n") == 2
    assert all(char.isprintable() for char in output.replace("\n", ""))


def test_long_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A name of a mebibyte does not fill the disk."""
    first = logged(capsys, "json", "y" * 2**20).splitlines()[0]
    assert len(json.loads(first)["name"]) == log.LONGEST_VALUE
