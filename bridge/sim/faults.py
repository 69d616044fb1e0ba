"""Fault injection: faults that wait for a matching request, and the effect of each kind on the response."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from bridge.sim import hostile, xml
from bridge.sim.auth import Gate
from bridge.sim.host import page
from bridge.sim.http import HttpResponse

MIB = 1024 * 1024
BOMB_BYTES = 64 * MIB
FOR_EVER_S = 3600.0
NOWHERE = "http://127.0.0.1:9/hostile"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault for the next `times` requests of an operation (empty: any operation).

    `about`: only for requests with this text as an argument.
    Replaces the response: http (value: status), html, reset, endless, redirect (text: target), gzip, fault
    (text), unauthorised (a new nonce). Delays it: slow and hang (value: seconds). Breaks its transport:
    cut (half of it, then close), drip (one byte every value seconds), headers (value: how many).
    Corrupts its body: empty, truncated, dtd, laughs, hidden_laughs, quadratic, xxe and external_dtd
    (text: address), deep (value: levels), big (one text), elements, bad_utf8 and nul (value: bytes),
    unknown_type (text: namespace). A value of 0 stands for a default that is bad enough.
    """

    kind: str
    operation: str = ""
    times: int = 1
    value: float = 0.0
    text: str = ""
    about: str = ""

    def size(self, usual: float) -> int:
        """The value as a whole number, or the default."""
        return int(self.value or usual)


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that a fault applies to: its path, its gate, and the source of the correct response."""

    path: str
    gate: Gate
    answer: Callable[[], Awaitable[HttpResponse]]


Spoil = Callable[[Fault, Hit], Awaitable[HttpResponse]]


def _instead(make: Callable[[Fault, Hit], HttpResponse]) -> Spoil:
    """Replace the response; do not execute the request."""

    async def spoil(fault: Fault, hit: Hit) -> HttpResponse:
        return make(fault, hit)

    return spoil


def _late(usual_s: float) -> Spoil:
    """Execute the request after a delay."""

    async def spoil(fault: Fault, hit: Hit) -> HttpResponse:
        await asyncio.sleep(fault.value or usual_s)
        return await hit.answer()

    return spoil


def _sent(change: Callable[[HttpResponse, Fault], HttpResponse]) -> Spoil:
    """Execute the request and change how the response is sent."""

    async def spoil(fault: Fault, hit: Hit) -> HttpResponse:
        return change(await hit.answer(), fault)

    return spoil


def _body(change: Callable[[bytes, Fault], bytes]) -> Spoil:
    """Execute the request and change the body of the response."""
    return _sent(lambda response, fault: replace(response, body=change(response.body, fault)))


def _unauthorised(_: Fault, hit: Hit) -> HttpResponse:
    hit.gate.new_nonce()
    return page(401, hit.gate.challenges())


def _redirect(fault: Fault, hit: Hit) -> HttpResponse:
    return HttpResponse(307, b"", [("Location", fault.text or hit.path)])


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES))


def _gzip(_: Fault, __: Hit) -> HttpResponse:
    return HttpResponse(body=_bomb(), headers=[("Content-Encoding", "gzip")])


def _headers(response: HttpResponse, fault: Fault) -> HttpResponse:
    return replace(response, headers=[(f"X-{number}", "hostile") for number in range(fault.size(100_000))])


TABLE: Mapping[str, Spoil] = {
    "http": _instead(lambda fault, _: page(fault.size(500))),
    "html": _instead(lambda *_: page(200)),
    "reset": _instead(lambda *_: HttpResponse(reset=True)),
    "endless": _instead(lambda *_: HttpResponse(endless=True)),
    "redirect": _instead(_redirect),
    "gzip": _instead(_gzip),
    "fault": _instead(lambda fault, _: HttpResponse(500, xml.fault(fault.text or "trouble"))),
    "unauthorised": _instead(_unauthorised),
    "slow": _late(0.0),
    "hang": _late(FOR_EVER_S),
    "cut": _sent(lambda response, _: replace(response, break_after=len(response.body) // 2)),
    "drip": _sent(lambda response, fault: replace(response, drip_s=fault.value or 0.1)),
    "headers": _sent(_headers),
    "empty": _body(lambda *_: b""),
    "truncated": _body(lambda body, _: body[: len(body) // 2]),
    "dtd": _body(lambda body, _: hostile.unused_dtd(body)),
    "laughs": _body(lambda body, _: hostile.laughs(body)),
    "hidden_laughs": _body(lambda body, _: hostile.hidden_laughs(body)),
    "quadratic": _body(lambda body, _: hostile.quadratic(body)),
    "xxe": _body(lambda body, fault: hostile.external_entity(body, fault.text or NOWHERE)),
    "external_dtd": _body(lambda body, fault: hostile.external_dtd(body, fault.text or NOWHERE)),
    "deep": _body(lambda body, fault: hostile.deep(body, fault.size(5_000))),
    "big": _body(lambda body, fault: hostile.text(body, fault.size(11 * MIB))),
    "elements": _body(lambda body, fault: hostile.elements(body, fault.size(20 * MIB))),
    "bad_utf8": _body(lambda body, fault: hostile.bad_utf8(body, fault.size(100))),
    "nul": _body(lambda body, fault: hostile.nul(body, fault.size(1))),
    "unknown_type": _body(lambda body, fault: hostile.unknown_type(body, fault.text or NOWHERE)),
}
"""The effect of each kind of fault: the one place that lists them all."""


class Faults:
    """The faults that wait for a matching request, in the order of their addition."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault. Raises ValueError for an unknown kind."""
        if fault.kind not in TABLE:
            raise ValueError(f"no fault of the kind '{fault.kind}'; there are {', '.join(sorted(TABLE))}")
        self._waiting.append(fault)

    @property
    def pending(self) -> int:
        """The number of faults that still wait."""
        return len(self._waiting)

    def clear(self) -> None:
        """Remove all faults."""
        self._waiting.clear()

    async def answer(self, operation: str, args: Mapping[str, object], hit: Hit) -> HttpResponse:
        """The response to a request, changed by the first fault that matches."""
        fault = self._take(operation, args)
        return await (hit.answer() if fault is None else TABLE[fault.kind](fault, hit))

    def _take(self, operation: str, args: Mapping[str, object]) -> Fault | None:
        """Take the first fault that matches a request; it counts down."""
        for index, fault in enumerate(self._waiting):
            if fault.operation in {"", operation} and (not fault.about or fault.about in args.values()):
                if fault.times > 1:
                    self._waiting[index] = replace(fault, times=fault.times - 1)
                else:
                    del self._waiting[index]
                return fault
        return None
