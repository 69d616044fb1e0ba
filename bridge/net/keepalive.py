"""TCP options that find dead connections to the PBX and to the broker. Opens no connection."""

import socket

IDLE_S, INTERVAL_S, PROBES = 4, 2, 3
SILENCE_MS = 9_000


def options() -> list[tuple[int, int, int]]:
    """Socket options: Nagle off (it delays requests by 40 ms); a dead connection is detected within 20 s.

    On an idle connection keepalive detects it after 10 s; with unacknowledged data TCP_USER_TIMEOUT
    (RFC 5482) does, after 9 s. A write just before keepalive would have fired starts the second timer, so
    only the sum can be promised. Options that this system lacks are left out.
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
