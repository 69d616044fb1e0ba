"""Notifies systemd (sd_notify(3)). Never fails, and does nothing where the process has no such socket."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping, Sequence

from bridge.ops.health import LinkStatus


class Notifier:
    """Sends datagrams to the socket that systemd names in the environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        pid = environment.get("WATCHDOG_PID", "")
        self._watched = "WATCHDOG_USEC" in environment and pid in {"", str(os.getpid())}
        self._status = ""

    def ready(self) -> None:
        """The process has started, or has finished a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The process is shutting down."""
        self._send("STOPPING=1")

    def beat(self, links: Sequence[LinkStatus], *, moving: bool) -> None:
        """Send the status line if it has changed, and the watchdog signal while everything makes progress."""
        text = summary(links)
        news = [f"STATUS={text}"] if text != self._status else []
        self._status = text
        self._send(*news, *(["WATCHDOG=1"] if self._watched and moving else []))

    def _send(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto("\n".join(lines).encode(), self._address)


def summary(links: Sequence[LinkStatus]) -> str:
    """All links in one line: the state of a single link, or how many of several are up."""
    calls, queue = sum(link.calls for link in links), sum(link.outbox for link in links)
    if len(links) == 1:
        pbx, mqtt = str(links[0].link), "online" if links[0].broker_session.up else "offline"
    else:
        pbx = f"{sum(link.pbx_session.up for link in links)}/{len(links)}"
        mqtt = f"{sum(link.broker_session.up for link in links)}/{len(links)}"
    return f"pbx={pbx} mqtt={mqtt} calls={calls} queue={queue}"
