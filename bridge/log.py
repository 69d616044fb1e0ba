"""Log lines: key=value on a terminal, JSON elsewhere; control characters cannot forge a line."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

LONGEST_VALUE, LONGEST_TRACE = 2048, 32_768
_QUIET = ("zeep", "httpx", "httpcore", "asyncio", "urllib3", "transitions", "amqtt", "passlib")


def configure(level: str, style: str) -> None:
    """Set up structlog for the process. `style`: auto, text or json."""
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            tame,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def tame(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Shorten long values and escape control characters: callers choose their own names.

    The lines of a trace are kept apart; the renderers escape their ends.
    """
    for key, value in line.items():
        if isinstance(value, str):
            kept, longest = ("\n", LONGEST_TRACE) if key == "exception" else ("", LONGEST_VALUE)
            line[key] = "".join(
                char if char.isprintable() or char in kept else char.encode("unicode_escape").decode()
                for char in (value[-longest:] if kept else value[:longest])
            )
    return line
