"""Errors of sockets, TLS and paho, and MQTT reason codes → our errors, as sentences for people. No I/O."""

import socket
import ssl
from collections.abc import Sequence

from paho.mqtt.client import WebsocketConnectionError
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import LinkError, Rejected, SessionLost, TakenOver, Unreachable

UNSUPPORTED_VERSION = 0x84
KEEP_ALIVE_TIMEOUT = 0x8D
TAKEN_OVER = 0x8E
REFUSED_FROM = 0x80
QUOTA_EXCEEDED = 0x97
WILL_REFUSED = frozenset({0x9A, 0x9B})
"""Retained messages, or this QoS, are not supported."""
_BUSY = frozenset({0x88, 0x89, QUOTA_EXCEEDED, 0x9C, 0x9D, 0x9F})
_HUMAN = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x90, *WILL_REFUSED})


class NotForThisBroker(LinkError):  # noqa: N818  (a state of affairs)
    """The broker speaks an older protocol."""


class Silent(NotForThisBroker):
    """The broker does not answer a CONNECT of MQTT 5: it misreads it, or it is slow."""


class NotThisWill(Unreachable):
    """The broker may not support our will: it says so, or (MQTT 3.1.1) closes the connection."""


def of_connack(code: ReasonCode, place: str) -> LinkError:
    """The broker refused the connection: for now, for this protocol or will, or until a human acts."""
    if code.value in WILL_REFUSED:
        return NotThisWill(f"the broker {place} rejects the bridge's Last Will: {code}")
    if code.value == UNSUPPORTED_VERSION:
        return NotForThisBroker(f"the broker {place}: {code}")
    if code.value in _BUSY:
        return Unreachable(f"the broker {place} is unavailable: {code}")
    if code.value in _HUMAN:
        return Rejected(f"the broker {place} rejects the bridge: {code}")
    return Unreachable(f"the broker {place} refused the connection: {code}")


def of_answers(codes: Sequence[ReasonCode], what: str, topics: Sequence[str]) -> LinkError | None:
    """The broker's answer to a publish or a subscription: None if it accepted all of these topics."""
    refused = [
        (code, topic) for code, topic in zip(codes, topics, strict=False) if code.value >= REFUSED_FROM
    ]
    if not refused:
        return None
    code = refused[0][0]
    named = f"{what} to {', '.join(topic for _, topic in refused)}"
    if code.value == QUOTA_EXCEEDED:
        return Unreachable(f"the broker cannot accept the {named} now: {code}")
    right = "write" if what == "publish" else "read"
    return Rejected(
        f"the broker refuses the {named}: {code} (does the bridge's user have the right to {right} it?)"
    )


def of_disconnect(code: ReasonCode, place: str) -> LinkError:
    """The broker, or the network, ended the connection."""
    if code.value == TAKEN_OVER:
        return TakenOver(f"another client uses our client id at {place}: is a second bridge running?")
    if code.value in _HUMAN:
        return Rejected(f"the broker {place} disconnected the bridge: {code}")
    return SessionLost(f"the connection to the broker {place} ended: {code}")


def of_exception(error: Exception, place: str) -> LinkError:
    """The connection could not be opened."""
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, place)
    if isinstance(error, socket.gaierror):
        return Unreachable(f"the host name of the broker {place} does not resolve: {error.strerror}")
    if isinstance(error, TimeoutError):
        return Unreachable(f"the broker {place} did not answer in time")
    if isinstance(error, WebsocketConnectionError):
        return Unreachable(f"there is no MQTT over WebSocket at {place}")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return Unreachable(f"the broker {place} cannot be reached: {reason}")


def of_certificate(error: ssl.SSLCertVerificationError, place: str, sha256: str = "") -> Rejected:
    """The broker's certificate failed verification; `sha256` is its fingerprint, to compare and pin.

    If our own pin failed, its message has the fingerprint, and `sha256` is empty.
    """
    reason = getattr(error, "verify_message", "") or str(error.args[-1])
    advice = (
        f". Its SHA-256 is {sha256}: compare it at the broker, then set mqtt.tls.sha256" if sha256 else ""
    )
    return Rejected(f"the broker {place} is not trusted: {reason}{advice}")


def _of_tls(error: ssl.SSLError, place: str) -> LinkError:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unreachable(f"the broker {place} closed the connection before TLS was set up")
    return Rejected(f"TLS with the broker {place} failed: {error.reason or error}")
