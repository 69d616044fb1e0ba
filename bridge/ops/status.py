"""The command `status`: fetches /status of a running bridge and shows it as a table with an exit code."""

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bridge.ops.health import DEGRADED, DOWN, OK, STALE_S

EXIT_CODES = {OK: 0, DEGRADED: 1, DOWN: 2}
STYLES = {OK: "green", DEGRADED: "yellow", DOWN: "bold red"}
PATIENCE_S = 5.0
REFUSED = {http.client.FORBIDDEN, http.client.MISDIRECTED_REQUEST}
LONGEST_REFUSAL = 200
LONGEST_BODY = 8 * 1024 * 1024
Facts = Mapping[str, Any]


class NoStatusError(Exception):
    """No bridge answers at this URL; the sentence says why."""


def fetch(url: str) -> Facts:
    """Fetch the status of a bridge. Raises NoStatusError."""
    try:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise NoStatusError(f"{url}: expected a URL like http://127.0.0.1:9642")
        status, body = _get(parts.hostname, parts.port or 80, parts.path.rstrip("/") + "/status")
        if status in REFUSED:
            raise NoStatusError(f"{url}: {_clean(body[:LONGEST_REFUSAL].decode(errors='replace').strip())}")
        facts = _ours(json.loads(body)) if status == http.client.OK else None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise NoStatusError(f"{url} cannot be reached: {reason}") from None
    except ValueError:
        facts = None
    if facts is None:
        raise NoStatusError(f"{url} is not a bridge of a compatible version")
    return facts


def show(facts: Facts, console: Console) -> None:
    """Print the status, in colour on a terminal."""
    console.print(_headline(facts))
    if facts["links"]:
        console.print(_table(facts["links"]))
    for link in facts["links"]:
        for reason in _why(link):
            console.print(
                Text.assemble((_clean(link.get("pbx")), STYLES[link["level"]]), ": ", _clean(reason))
            )


def exit_code(facts: Facts) -> int:
    """0: ok, 1: degraded, 2: down."""
    return EXIT_CODES[facts["level"]]


def _get(host: str, port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(LONGEST_BODY)
    finally:
        connection.close()


def _ours(facts: object) -> Facts | None:
    """The document if it is that of a bridge, else None."""
    if not isinstance(facts, dict) or facts.get("level") not in EXIT_CODES:
        return None
    links = facts.get("links")
    good = isinstance(links, list) and all(
        isinstance(link, dict) and link.get("level") in EXIT_CODES and isinstance(link.get("broker"), dict)
        for link in links
    )
    return facts if good else None


def _headline(facts: Facts) -> Group:
    level = str(facts["level"])
    lines = [Text.assemble((level, STYLES[level]), _plain(f"  innovaphone-mqtt {facts.get('version')}"))]
    lines[0].append(", up since ").append(_since(facts.get("started")))
    if facts.get("config_good") is False:
        lines.append(
            Text("The configuration file is invalid; the previous one is in force.", STYLES[DEGRADED])
        )
    age_s = facts.get("loop_beat_age_s")
    if isinstance(age_s, int | float) and age_s > STALE_S:
        lines.append(Text(f"The event loop has been hanging for {age_s:.0f} s.", STYLES[DOWN]))
    return Group(*lines)


def _table(links: Sequence[Facts]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("PBX", "link", "broker", "since"):
        table.add_column(name, no_wrap=True)
    for name in ("users", "calls", "outbox"):
        table.add_column(name, justify="right")
    for link in links:
        broker, level = link["broker"], str(link["level"])
        table.add_row(
            Text(_clean(link.get("pbx")), STYLES[level]),
            _plain(link.get("link")),
            Text("up", STYLES[OK]) if broker.get("up") else Text("down", STYLES[DOWN]),
            _since(link.get("since") if broker.get("up") else broker.get("since")),
            *(_plain(link.get(key)) for key in ("users", "calls", "outbox")),
        )
    return table


def _why(link: Facts) -> list[str]:
    reasons = [str(link.get("reason") or ""), str(link["broker"].get("reason") or "")]
    for name, session in (("PBX", link), ("broker", link["broker"])):
        if session.get("standby"):
            reasons.append(f"the standby {name} is used: {session.get('address')}")
    reasons.append(str(link.get("refused") or ""))
    reasons += [f"stuck: {part}" for part in link.get("stuck", ())]
    reasons += [f"{count} dropped ({reason})" for reason, count in link.get("dropped", {}).items()]
    reasons += [f"location {name}: {reason}" for name, reason in link.get("locations_left_out", {}).items()]
    problem = link.get("store_problem")
    return [reason for reason in (*reasons, f"state directory: {problem}" if problem else "") if reason]


def _since(time: object) -> Text:
    """A time without fractions of a second."""
    return _plain(str(time).partition(".")[0].replace("T", " ") + " UTC")


def _plain(value: object) -> Text:
    """A text without style or control characters."""
    return Text(_clean(value))


def _clean(value: object) -> str:
    return "".join(each if each.isprintable() else "�" for each in str(value))
