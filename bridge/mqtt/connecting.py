"""Connecting, which blocks (DNS, TCP, TLS, WebSocket), in a thread. Waits for no answer to CONNECT."""

import asyncio
import ssl
import threading

from paho.mqtt import client as paho

from bridge.mqtt.paho_client import Client
from bridge.mqtt.settings import MQTT_5, BrokerSettings
from bridge.mqtt.translate import connect_properties
from bridge.net.tls import look


class Handover:
    """Settles which thread closes a socket that one opens for another: the receiver, unless it has left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handed = False
        self._left = False

    def hand_over(self) -> bool:
        """The socket is open; False when the receiver has left."""
        with self._lock:
            self._handed = not self._left
            return self._handed

    def leave(self) -> None:
        """The receiver no longer waits."""
        with self._lock:
            self._left = True


async def connect_in_thread(client: Client, settings: BrokerSettings, protocol: str) -> None:
    """Connect without blocking the event loop. Leaves no open socket behind when it is cancelled."""
    handover = Handover()
    loop = asyncio.get_running_loop()
    try:
        await loop.run_in_executor(None, connect_blocking, client, settings, protocol, handover)
    except asyncio.CancelledError:
        # A thread cannot be cancelled. It finds out when it is done, and closes its socket itself.
        handover.leave()
        raise


def connect_blocking(client: Client, settings: BrokerSettings, protocol: str, handover: Handover) -> None:
    """Resolve, connect, shake hands and send CONNECT. Closes the socket when nobody waits for it any more."""
    client.connecting = True
    try:
        client.connect(
            settings.host,
            settings.port,
            settings.keepalive_s,
            clean_start=protocol == MQTT_5 or paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=connect_properties(protocol),
        )
    except BaseException:
        client.connecting = False
        client.close_raw()
        raise
    client.connecting = False
    sock = client.socket()
    if sock is not None and not handover.hand_over():
        sock.close()


async def fingerprint_of_rejected(error: ssl.SSLCertVerificationError, settings: BrokerSettings) -> str:
    """The SHA-256 of the certificate that failed verification, for people to compare and pin.

    Empty where our own pin failed, without an OpenSSL code: its message names the fingerprint already.
    """
    if getattr(error, "verify_code", 0) == 0:
        return ""
    address = settings.host, settings.port
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, look, address, settings.connect_timeout_s)
