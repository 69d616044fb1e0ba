"""Log lines: text on a terminal, JSON elsewhere. Logging never raises into the program and never blocks it.

A thread writes the lines. A full disk, a closed pipe or a pipe that is not read costs log lines, which are
counted, and nothing else. Control characters in a value are escaped, so that they cannot forge a line.
"""

import atexit
import json
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog

LONGEST_VALUE, LONGEST_TRACE = 2048, 32_768
QUEUED_BYTES = 2 * 2**20
FLUSH_S = 0.5
WRITABLE_S = 1.0
STDERR = 2
_QUIET = ("zeep", "urllib3", "transitions", "amqtt", "passlib")
_ENDS = ("timestamp", "level", "pbx", "event")
Line = MutableMapping[str, Any]
Renderer = Callable[[Line], str]


class Lines:
    """Writes lines to a file descriptor from a daemon thread. It is also the logger that structlog calls.

    `notice` formats the line that reports how many lines were dropped, once writing works again.
    """

    def __init__(self, descriptor: int, notice: Callable[[int], str], most: int = QUEUED_BYTES) -> None:
        self.dropped = 0
        self.notice = notice
        self._descriptor = descriptor
        self._most = most
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._unsaid = 0
        self._torn = False

    def __call__(self, *_: object) -> "Lines":
        """One logger for the whole process (structlog's logger factory)."""
        return self

    def put(self, line: str) -> None:
        """Queue a line. It is dropped and counted if the queue is full."""
        written = line.encode(errors="backslashreplace") + b"\n"
        with self._changed:
            if self._bytes + len(written) > self._most or not self._has_thread():
                self._drop()
                return
            self._waiting.append(written)
            self._bytes += len(written)
            self._changed.notify_all()

    debug = info = warning = error = critical = exception = put

    def flush(self, within_s: float = FLUSH_S) -> bool:
        """Wait up to `within_s` until everything is written; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._bytes, within_s)

    def _has_thread(self) -> bool:
        """Start the writer. While no thread can be started, lines are dropped."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="log", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting.popleft()
            good = self._write(line)
            with self._changed:
                self._bytes -= len(line)
                if not good:
                    self._drop()
                unsaid = self._unsaid if good else 0
            if unsaid and self._write(self.notice(unsaid).encode(errors="backslashreplace") + b"\n"):
                with self._changed:
                    self._unsaid -= unsaid
            with self._changed:
                self._changed.notify_all()

    def _drop(self) -> None:
        self.dropped += 1
        self._unsaid += 1

    def _write(self, line: bytes) -> bool:
        """Write a whole line. After a partial one (the disk was full) start with a line break."""
        left = memoryview(b"\n" + line if self._torn else line)
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:
                    select.select((), (self._descriptor,), (), WRITABLE_S)
                    continue
                self._torn = True
        except (OSError, ValueError):
            return False
        self._torn = False
        return True


class Forward(logging.Handler):
    """Passes the records and warnings of libraries on to structlog; otherwise they would write to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        try:
            structlog.get_logger().log(
                record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None
            )
        except Exception:  # noqa: BLE001  (a record that cannot be formatted must not harm its caller)
            structlog.get_logger().warning("a log record cannot be formatted", logger=record.name)


def configure(level: str, style: str, descriptor: int = STDERR) -> Lines:
    """Set up structlog for the process. `style`: auto, text or json. A reload calls it again."""
    terminal = _is_terminal(descriptor)
    text = style == "text" or (style == "auto" and terminal)
    render = _text(short=terminal) if text else _json

    def process(_logger: object, _method: str, line: Line) -> str:
        return shown(line, render)

    def notice(count: int) -> str:
        return shown({"level": "warning", "event": "log lines dropped", "count": count}, render)

    lines = structlog.get_config()["logger_factory"]
    if not isinstance(lines, Lines) or descriptor != STDERR:
        lines = Lines(descriptor, notice)
        atexit.register(lines.flush)
    lines.notice = notice
    structlog.configure(
        processors=[structlog.processors.add_log_level, process],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lines,
        cache_logger_on_first_use=False,
    )
    _take_over_logging()
    return lines


def dropped() -> int:
    """The number of lines lost so far."""
    lines = structlog.get_config()["logger_factory"]
    return lines.dropped if isinstance(lines, Lines) else 0


def keep_standard_descriptors() -> None:
    """Open descriptors 0 to 2 if they are closed: otherwise the log would go to a socket with that number."""
    for descriptor in range(STDERR + 1):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def shown(line: Line, render: Renderer) -> str:
    """The text of a line. Never raises: a value that cannot be formatted costs the values of its line."""
    event = line.get("event")
    try:
        line["timestamp"] = time.time()
        return render(tame(structlog.processors.format_exc_info(None, "", dict(line))))
    except Exception as bug:  # noqa: BLE001  (logging must not harm the code that logs)
        return _json({"timestamp": time.time(), "event": str(event), "unreadable": type(bug).__name__})


def tame(line: Line) -> Line:
    """Shorten long values and escape control characters: a caller chooses the name on its display.

    The line breaks of a traceback are kept; the renderers escape them.
    """
    for key, value in line.items():
        if isinstance(value, str):
            kept, longest = ("\n", LONGEST_TRACE) if key == "exception" else ("", LONGEST_VALUE)
            line[key] = "".join(
                char if char.isprintable() or char in kept else char.encode("unicode_escape").decode()
                for char in (value[-longest:] if kept else value[:longest])
            )
    return line


def _json(line: Line) -> str:
    seconds = line["timestamp"]
    line["timestamp"] = _utc(seconds)
    return json.dumps(line, ensure_ascii=False, default=repr)


def _text(*, short: bool) -> Renderer:
    """`19:28:38 info     hq  pbx up  users=10`. `short`: local time without the date, for a terminal."""

    def render(line: Line) -> str:
        seconds = line["timestamp"]
        at = time.strftime("%H:%M:%S", time.localtime(seconds)) if short else _utc(seconds)
        rest = "".join(f" {key}={_value(value)}" for key, value in line.items() if key not in _ENDS)
        pbx = f"{line['pbx']}  " if line.get("pbx") else ""
        return f"{at} {line.get('level', ''):8} {pbx}{line.get('event', '')} {rest}".rstrip()

    return render


def _value(value: object) -> str:
    return value if isinstance(value, str) and value and not {*value} & {*" \n'\"="} else repr(value)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06}Z"


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


def _take_over_logging() -> None:
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    if not any(isinstance(handler, Forward) for handler in root.handlers):
        root.addHandler(Forward(logging.WARNING))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
