"""SOAP over HTTP: authenticate, parse, execute, and inject faults. No sockets here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from bridge.sim import xml
from bridge.sim.auth import Gate
from bridge.sim.faults import Faults, Hit
from bridge.sim.host import page
from bridge.sim.http import HttpResponse
from bridge.sim.operations import Operations, UnknownSession
from bridge.sim.request import HttpRequest


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One SOAP address. `seen` gets every request; `invalid_session` returns a key of INVALID_SESSION."""

    gate: Gate
    operations: Operations
    writer: xml.Writer
    faults: Faults
    seen: Callable[[str, dict[str, object]], None]
    invalid_session: Callable[[], str]

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; refuse a client without valid credentials before parsing the body."""
        if not self.gate.admits(request.method, request.path, request.headers.get("authorization", "")):
            return page(401, self.gate.challenges())
        try:
            operation, args = xml.read_request(request.body)
        except xml.BadRequestError as error:
            return HttpResponse(500, xml.fault(str(error)))
        self.seen(operation, args)
        perform = partial(self._perform, operation, args, request.connection)
        response = await self.faults.answer(operation, args, Hit(request.path, self.gate, perform))
        return replace(response, headers=[*response.headers, *self.gate.next_nonce()])

    async def _perform(self, operation: str, args: dict[str, object], connection: int) -> HttpResponse:
        if not self.operations.knows(operation):
            return HttpResponse(500, xml.fault(f"no operation {operation}"))
        try:
            parts = await self.operations.run(operation, args, connection)
        except UnknownSession:
            return INVALID_SESSION[self.invalid_session()](operation, self.operations)
        return HttpResponse(body=self.writer.finish(xml.reply(operation, parts)))


INVALID_SESSION: Mapping[str, Callable[[str, Operations], HttpResponse]] = {
    "fault": lambda *_: HttpResponse(500, xml.fault("invalid handle")),
    "empty": lambda name, operations: HttpResponse(body=xml.reply(name, operations.refusal(name))),
    "http": lambda *_: page(500),
}
"""Responses for an unknown session; a real PBX's is not known (docs/wire.md#open-questions)."""
