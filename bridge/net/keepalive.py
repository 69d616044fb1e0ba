"""How our TCP connections are kept honest, to the PBX and to the broker. Opens none."""

import socket

IDLE_S, INTERVAL_S, PROBES = 4, 2, 3
SILENCE_MS = 9_000


def options() -> list[tuple[int, int, int]]:
    """Socket options: no Nagle (a request would wait 40 ms), and a silent cut is found within 20 s.

    Keepalive finds it on an idle connection, after 10 s; TCP_USER_TIMEOUT (RFC 5482) on one with data that
    nobody acknowledges, after 9 s. What is written just before keepalive would have found it starts the
    other clock, so the sum of both is what can be promised. What this system does not have is left out.
    """
    wanted = (
        ("TCP_KEEPIDLE", IDLE_S),
        ("TCP_KEEPINTVL", INTERVAL_S),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", SILENCE_MS),
    )
    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        *(
            (socket.IPPROTO_TCP, getattr(socket, name), value)
            for name, value in wanted
            if hasattr(socket, name)
        ),
    ]
