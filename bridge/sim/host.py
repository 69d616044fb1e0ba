"""One address on which one or more simulated PBXs answer, each on its own path. HTTP, no SOAP."""

import ssl
from importlib.resources import files
from typing import Protocol

from bridge.sim.http import HttpResponse, HttpServer
from bridge.sim.request import HttpRequest

HTML = b"<!DOCTYPE html><html><head><title>Login</title></head><body>Please log in</body></html>"


def page(status: int, headers: list[tuple[str, str]] | None = None) -> HttpResponse:
    """An HTML page, as appliances send it to a client that expects SOAP."""
    return HttpResponse(status, HTML, headers or [], content_type="text/html")


class Site(Protocol):
    """A PBX as its host sees it."""

    @property
    def location(self) -> str:
        """Its location."""
        ...

    @property
    def soap_url(self) -> str:
        """The complete address of its SOAP interface."""
        ...

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request for its path."""
        ...

    def disconnected(self, connection: int) -> None:
        """A TCP connection closed, possibly one of another site."""
        ...

    def lose_power(self) -> None:
        """Forget all sessions and calls."""
        ...


class Host:
    """An appliance whose PBXs share the port and the power supply. `sites`: the PBXs by their paths."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._name = host
        self._scheme = "http" if tls is None else "https"
        self.sites: dict[str, Site] = {}
        self._server = HttpServer(self._answer, self._disconnected, host=host, port=port, tls=tls)

    @property
    def url(self) -> str:
        """Its address without a path."""
        return f"{self._scheme}://{self._name}:{self._server.port}"

    async def listen(self) -> None:
        """Accept connections, on the same port as before if there was one. Raises OSError."""
        await self._server.listen()

    def stop_listening(self) -> None:
        """Refuse new connections; those that are open stay."""
        self._server.stop_listening()

    async def close(self) -> None:
        """End all connections."""
        await self._server.refuse(reset=False)

    async def crash(self) -> None:
        """Lose power: reset connections, forget calls and sessions, refuse new connections."""
        for site in self.sites.values():
            site.lose_power()
        await self._server.refuse(reset=True)

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        if request.path == "/pbx10_00.wsdl":
            return HttpResponse(body=(files("bridge") / "pbx" / "pbx.wsdl").read_bytes())
        site = self.sites.get(request.path)
        return page(404) if site is None else await site.answer(request)

    def _disconnected(self, connection: int) -> None:
        for site in self.sites.values():
            site.disconnected(connection)
