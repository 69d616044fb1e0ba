"""SOAP over HTTP as a simulated PBX does it: let in, read, carry out, spoil on purpose. No sockets here."""

import asyncio
import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bridge.sim import xml
from bridge.sim.auth import Gate
from bridge.sim.faults import Fault, Faults
from bridge.sim.host import page
from bridge.sim.http import HttpRequest, HttpResponse
from bridge.sim.operations import Operations, UnknownSession

BOMB_BYTES = 64 * 1024 * 1024
FOR_EVER_S = 3600.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One SOAP address. `seen` hears of every request; `invalid_session`: fault, empty or http."""

    gate: Gate
    operations: Operations
    writer: xml.Writer
    faults: Faults
    seen: Callable[[str, dict[str, object]], None]
    invalid_session: str

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; a client that may not come in is told before anything is read."""
        if not self.gate.admits(request.method, request.path, request.headers.get("authorization", "")):
            return page(401, self.gate.challenges())
        try:
            operation, args = xml.read_request(request.body)
        except xml.BadRequestError as error:
            return HttpResponse(500, xml.fault(str(error)))
        self.seen(operation, args)
        fault = self.faults.take(operation)
        if fault is not None:
            early = await self._early(fault, request.path)
            if early is not None:
                return early
        response = await self._perform(operation, args, request.connection)
        return response if fault is None else _spoiled(response, fault)

    async def _perform(self, operation: str, args: dict[str, object], connection: int) -> HttpResponse:
        if not self.operations.knows(operation):
            return HttpResponse(500, xml.fault(f"no operation {operation}"))
        try:
            parts = await self.operations.run(operation, args, connection)
        except UnknownSession:
            return self._invalid(operation)
        return HttpResponse(body=self.writer.finish(xml.reply(operation, parts)))

    def _invalid(self, operation: str) -> HttpResponse:
        """Which of the three a real PBX does is not known (wire reference 23.2)."""
        if self.invalid_session == "http":
            return page(500)
        if self.invalid_session == "empty":
            return HttpResponse(body=xml.reply(operation, self.operations.refusal(operation)))
        return HttpResponse(500, xml.fault("invalid handle"))

    async def _early(self, fault: Fault, path: str) -> HttpResponse | None:
        """The faults that need no answer to spoil."""
        match fault.kind:
            case "unauthorised":
                self.gate.new_nonce()
                return page(401, self.gate.challenges())
            case "hang":
                await asyncio.sleep(fault.value or FOR_EVER_S)
            case "slow":
                await asyncio.sleep(fault.value)
        return _instead(fault, path)


def _instead(fault: Fault, path: str) -> HttpResponse | None:
    """What comes in place of an answer, if something does."""
    make = _INSTEAD.get(fault.kind)
    return make(fault, path) if make else None


_INSTEAD: Mapping[str, Callable[[Fault, str], HttpResponse]] = {
    "http": lambda fault, _: page(int(fault.value)),
    "html": lambda _, __: page(200),
    "reset": lambda _, __: HttpResponse(reset=True),
    "endless": lambda _, __: HttpResponse(endless=True),
    "redirect": lambda fault, path: HttpResponse(307, b"", [("Location", fault.text or path)]),
    "big": lambda fault, _: HttpResponse(body=b"<a>" + b" " * int(fault.value) + b"</a>"),
    "gzip": lambda _, __: HttpResponse(
        body=gzip.compress(bytes(BOMB_BYTES)), headers=[("Content-Encoding", "gzip")]
    ),
    "fault": lambda fault, _: HttpResponse(500, xml.fault(fault.text or "trouble")),
}


def _spoiled(response: HttpResponse, fault: Fault) -> HttpResponse:
    """A good answer made bad."""
    body = response.body
    match fault.kind:
        case "cut":
            return replace(response, break_after=len(body) // 2)
        case "truncated":
            return replace(response, body=body[: len(body) // 2])
        case "dtd":
            return replace(response, body=body.replace(b"?>", b'?><!DOCTYPE e [<!ENTITY x "y">]>', 1))
        case "drip":
            return replace(response, drip_s=fault.value)
        case "empty":
            return replace(response, body=b"")
        case _:
            return response
