"""For tests: ends paho's own thread, and closes what paho leaves to the garbage collector."""

from paho.mqtt import client as paho


def stop(client: paho.Client) -> None:
    """Blocks until the thread has ended.

    paho closes the two sockets that wake its thread in `__del__` only. A client is part of a circle, so the
    collector may come to its sockets first, during some other test, which then fails for a ResourceWarning.
    """
    client.loop_stop()
    client._reset_sockets(sockpair_only=True)
