"""The address of a broker and our account there, as a value. Connects to nothing."""

import ssl
from dataclasses import dataclass, field, replace
from typing import Self

MQTT_5, MQTT_3 = "5", "3.1.1"
LONGEST_S = 20.0
"""The longest timeout that a slow broker gets, unless the configured one is longer."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """One broker for one link. `protocol`: auto, 5 or 3.1.1; `transport`: tcp or websockets.

    `trial_s`: with protocol auto, how long to wait for an answer to MQTT 5 before 3.1.1 is tried.
    `sender_property`: the user property by which the broker tells who sent a message; "" for none.
    """

    host: str
    port: int
    client_id: str
    transport: str = "tcp"
    path: str = field(default="/mqtt", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive_s: int = 30
    protocol: str = "auto"
    connect_timeout_s: float = 5.0
    trial_s: float = 2.0
    sender_property: str = ""

    @property
    def place(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"

    def patient(self, attempt: int) -> Self:
        """The same broker with longer timeouts: doubled with each attempt, up to a limit."""
        longest_s = max(LONGEST_S, self.connect_timeout_s)
        factor = 2.0 ** min(attempt, 10)
        return replace(
            self,
            connect_timeout_s=min(self.connect_timeout_s * factor, longest_s),
            trial_s=min(self.trial_s * factor, longest_s),
        )

    def with_client_id(self, client_id: str) -> Self:
        """The same broker for another client."""
        return replace(self, client_id=client_id)
