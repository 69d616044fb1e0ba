"""One PBX behind its SOAP interface: see core.backend.Backend. Opens sessions; supervise.py retries them."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar
from urllib.parse import urlsplit

from bridge.core.backend import Address, Asked, OpenPbx, PbxSession, unheard
from bridge.pbx.client import USUAL, Client
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.entrance import Entrances
from bridge.pbx.poll_ends import PollEnds
from bridge.pbx.session import SessionSettings, session
from bridge.pbx.soap import Soap

_HTTPS = 443


class SoapBackend:
    """A PBX at some addresses, the primary first.

    `poll_s` and `request_s` limit how long a Poll and any other request may take. `entrances` is shared with
    the other PBXs of the process.
    """

    operations: ClassVar[Sequence[str]] = USUAL

    def __init__(
        self,
        soap: Soap,
        endpoints: Sequence[Endpoint],
        settings: SessionSettings,
        *,
        entrances: Entrances,
        poll_s: float,
        request_s: float,
    ) -> None:
        self._soap = soap
        self._endpoints = endpoints
        self._settings = settings
        self._entrances = entrances
        self._poll_s = poll_s
        self._request_s = request_s

    @property
    def addresses(self) -> Sequence[str]:
        """The URLs."""
        return tuple(endpoint.url for endpoint in self._endpoints)

    @property
    def tls_addresses(self) -> Sequence[Address]:
        """The addresses whose certificates can expire."""
        return tuple(self._tls_addresses())

    def sessions(self, asked: Asked = unheard) -> OpenPbx:
        """Sessions of one link: they share what its earlier Polls say of a proxy on the way."""
        poll_ends = PollEnds()

        @asynccontextmanager
        async def open_pbx(place: int) -> AsyncIterator[PbxSession]:
            client = Client(
                self._soap,
                self._endpoints[place],
                poll_s=self._poll_s,
                request_s=self._request_s,
                asked=asked,
                poll_ends=poll_ends,
            )
            async with (
                self._entrances.turn(self._endpoints[place].url) as turn,
                client,
                session(client, self._settings, turn.end) as opened,
            ):
                yield opened

        return open_pbx

    def _tls_addresses(self) -> Iterator[Address]:
        for endpoint in self._endpoints:
            parts = urlsplit(endpoint.url)
            if parts.scheme == "https" and parts.hostname:
                yield parts.hostname, parts.port or _HTTPS
