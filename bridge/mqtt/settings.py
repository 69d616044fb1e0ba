"""Where a broker is and who we are there, as a value."""

import ssl
from dataclasses import dataclass, field, replace
from typing import Self

MQTT_5, MQTT_3 = "5", "3.1.1"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """One broker for one link. `protocol`: auto, 5 or 3.1.1; `transport`: tcp or websockets."""

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

    @property
    def place(self) -> str:
        """Host and port for people."""
        return f"{self.host}:{self.port}"

    def with_client_id(self, client_id: str) -> Self:
        """The same broker for another client."""
        return replace(self, client_id=client_id)
