"""Log lines stay lines, whatever is in them; and no state of stderr stops or slows who logs."""

import asyncio
import json
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from bridge.ops import log
from bridge.sim.pbx import SimPbx
from tests.bus import PATIENCE_S, Mosquitto, Observer, eventually
from tests.running import Program, configuration, pbx_section

NASTY = 'x\n2026-11-24 level=error event="all is lost"\r\x1b[2J\x1b]0;title\x07\u2028\u202eend'
FULL = Path("/dev/full")


def logged(capfd: pytest.CaptureFixture[str], style: str, value: str) -> str:
    """What a line with this value, and a bug that quotes it, put into the log."""
    lines = log.configure("info", style)
    logger = structlog.get_logger(pbx="hq")
    logger.info("call", name=value)
    logger.error("bug", exc_info=RuntimeError(value))
    assert lines.flush(10)
    return capfd.readouterr().err


@pytest.mark.parametrize("style", ["text", "json"])
def test_nothing_forges_a_line(capfd: pytest.CaptureFixture[str], style: str) -> None:
    """Two occurrences, two lines, and no control character in them but their ends."""
    output = logged(capfd, style, NASTY)
    assert output.count("\n") == 2
    assert all(char.isprintable() for char in output.replace("\n", ""))


def test_long_values_are_cut(capfd: pytest.CaptureFixture[str]) -> None:
    """A name of a mebibyte does not fill the disk."""
    first = logged(capfd, "json", "y" * 2**20).splitlines()[0]
    assert len(json.loads(first)["name"]) == log.LONGEST_VALUE


def test_a_line_can_be_read() -> None:
    """On a terminal: time, level, PBX, what happened, and the rest behind it."""
    terminal, ours = os.openpty()
    lines = log.configure("info", "auto", ours)
    structlog.get_logger(pbx="hq").info("pbx up", users=10, firmware="14r2 simulated")
    assert lines.flush(10)
    line = os.read(terminal, 4096).decode().strip()
    os.close(terminal)
    os.close(ours)
    time.strptime(line[:8], "%H:%M:%S")
    assert line[9:] == "info     hq  pbx up  users=10 firmware='14r2 simulated'"


class Unshowable:
    """A value that raises when it is shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_value_that_cannot_be_shown_harms_nobody(capfd: pytest.CaptureFixture[str], style: str) -> None:
    """The line is there, without its values."""
    lines = log.configure("info", style)
    structlog.get_logger().info("call", name=Unshowable())
    assert lines.flush(10)
    assert json.loads(capfd.readouterr().err)["unreadable"] == "RuntimeError"


def test_what_others_log_goes_the_same_way(capfd: pytest.CaptureFixture[str]) -> None:
    """Loggers of libraries, warnings, and a record that cannot be formatted."""
    lines = log.configure("info", "json")
    logging.getLogger("asyncio").error("odd: %s", "x")
    log.Forward().emit(logging.makeLogRecord({"name": "asyncio", "msg": "odd: %d", "args": ("x",)}))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    logging.captureWarnings(capture=False)
    assert lines.flush(10)
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["logger"] for line in told] == ["asyncio", "asyncio", "py.warnings"]
    assert told[0]["event"] == "odd: x"
    assert "DeprecationWarning: old" in told[2]["event"]


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe; its ends are closed if that has not happened."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            try:
                os.close(end)
            except OSError:
                continue


def taken(reader: int) -> bytes:
    """What is in a pipe."""
    os.set_blocking(reader, False)
    found = b""
    try:
        while piece := os.read(reader, 65536):
            found += piece
    except BlockingIOError:
        return found
    return found


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_pipe_nobody_reads_costs_lines_only(blocking: bool) -> None:  # noqa: FBT001  (a parameter)
    """Nobody waits for it; what does not fit is counted, and said as soon as somebody reads."""
    with pipe() as (reader, writer):
        os.set_blocking(writer, blocking)
        lines = log.Lines(writer, lambda count: f"{count} dropped", most=200_000)
        start = time.monotonic()
        for number in range(20_000):
            lines.put(f"{number:099}")
        assert time.monotonic() - start < 5
        assert lines.dropped > 15_000
        assert not lines.flush(0.01)
        seen = bytearray()

        def said() -> bool:
            seen.extend(taken(reader))
            notices = [line.split() for line in seen.splitlines() if line.endswith(b"dropped")]
            return lines.flush(0) and sum(int(count) for count, _ in notices) == lines.dropped

        await eventually(said, "all is written, and the lines that were dropped are counted")
        seen.extend(taken(reader))
        numbers = [int(line) for line in seen.splitlines() if line.isdigit()]
        assert (len(numbers), numbers) == (20_000 - lines.dropped, sorted(numbers))


async def test_half_a_line_is_ended(tmp_path: Path) -> None:
    """A disk that is full takes a part of a line: the next line does not continue it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HALF, str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode() == "1\n"
    text = (tmp_path / "log").read_text()
    assert text.splitlines() == ["a" * 50, "b" * 9, "c" * 50, "1 dropped"]


HALF = """
import os, resource, signal, sys
from bridge.ops.log import Lines
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
lines = Lines(out, lambda count: f"{count} dropped")
resource.setrlimit(resource.RLIMIT_FSIZE, (60, resource.RLIM_INFINITY))
lines.put("a" * 50); lines.put("b" * 50); assert lines.flush(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
lines.put("c" * 50); assert lines.flush(10)
print(lines.dropped)
"""


def closed_pipe() -> int:
    """A pipe whose reader is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_pipe() -> int:
    """A pipe that nobody reads, full to the brim."""
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    return writer


def full_disk() -> int:
    """A disk that takes nothing."""
    return os.open(FULL, os.O_WRONLY)


def nothing() -> int:
    """A descriptor that is closed in the new process."""
    return os.open(os.devnull, os.O_WRONLY)


STREAMS: dict[str, Callable[[], int]] = {
    "full disk": full_disk,
    "closed pipe": closed_pipe,
    "full pipe": full_pipe,
    "closed": nothing,
}


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.parametrize("stream", STREAMS)
async def test_the_bridge_works_whatever_stderr_is(
    broker: Mosquitto, bus: Observer, pbx: SimPbx, tmp_path: Path, stream: str
) -> None:
    """It comes online, survives a reload and SIGTERM ends it in time, with 0."""
    settings = configuration(broker.port, pbx_section(pbx), log={"level": "debug"})
    program = Program(tmp_path, settings)
    stderr = STREAMS[stream]()

    def before() -> None:
        if stream == "closed":
            os.close(2)

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", "run", "-c", str(program.file)), stderr=stderr, preexec_fn=before
    )
    os.close(stderr)
    try:
        await eventually(lambda: (bus.now("innovaphone/hq/info") or {}).get("settled"), "hq is settled")
        process.send_signal(signal.SIGHUP)
        pbx.ring("Anna Müller", "0123")
        await eventually(lambda: "ringing" in bus.types("anna"), "events come")
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert time.monotonic() - start < 3
        assert bus.now("innovaphone/hq/state") == "offline"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
async def test_a_mistake_has_its_exit_code_whatever_the_streams_are(tmp_path: Path, stream: str) -> None:
    """78 for a configuration, though nobody can read why; and no hang."""
    file = tmp_path / "b.yaml"
    file.write_text("pbxs: []\n")
    assert await code_of("check", "-c", str(file), stream=stream) == 78


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["full disk", "closed pipe"])
async def test_output_that_is_lost_is_a_failure(tmp_path: Path, stream: str) -> None:
    """`check > /dev/full` and `check | head`: 1, not a bug."""
    file = tmp_path / "b.yaml"
    section = {"name": "hq", "url": "http://127.0.0.1:9", "username": "u", "password": "p"}
    file.write_text(json.dumps(configuration(1, {**section, "session_user": "A"})))
    assert await code_of("check", "-c", str(file), "--show", stream=stream) == 1


async def code_of(*arguments: str, stream: str) -> int:
    """The exit code of the command line with this for stdout, and for stderr unless that would wait."""
    out = STREAMS[stream]()

    def before() -> None:
        if stream == "closed":
            os.close(1)
            os.close(2)

    err = asyncio.subprocess.DEVNULL if stream == "full pipe" else out
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge", *arguments), stdout=out, stderr=err, preexec_fn=before
    )
    os.close(out)
    async with asyncio.timeout(2 * PATIENCE_S):
        return await process.wait()
