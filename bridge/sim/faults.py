"""What goes wrong on purpose: faults that wait for their request, and what each kind makes of its answer."""

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
    """One kind of trouble for the next `times` requests of an operation (of any, when empty).

    `about`: only for requests one of whose arguments is this text.
    Instead of an answer: http (value: status), html, reset, endless, redirect (text: where to), gzip,
    fault (text), unauthorised (a new nonce). Late: slow and hang (value: seconds). A good answer sent
    badly: cut (half of it, then close), drip (one byte every value seconds), headers (value: how many).
    A good answer made bad: empty, truncated, dtd, laughs, hidden_laughs, quadratic, xxe and external_dtd
    (text: address), deep (value: levels), big (one text), elements, bad_utf8 and nul (value: bytes),
    unknown_type (text: namespace). A value of 0 stands for the usual one, which is bad enough.
    """

    kind: str
    operation: str = ""
    times: int = 1
    value: float = 0.0
    text: str = ""
    about: str = ""

    def size(self, usual: float) -> int:
        """The value as a whole number, or the usual one."""
        return int(self.value or usual)


@dataclass(frozen=True, slots=True)
class Hit:
    """The request that a fault is for: where it went, who let it in, what makes its good answer."""

    path: str
    gate: Gate
    answer: Callable[[], Awaitable[HttpResponse]]


Spoil = Callable[[Fault, Hit], Awaitable[HttpResponse]]


def _instead(make: Callable[[Fault, Hit], HttpResponse]) -> Spoil:
    """The request is not carried out."""

    async def spoil(fault: Fault, hit: Hit) -> HttpResponse:
        return make(fault, hit)

    return spoil


def _late(usual_s: float) -> Spoil:
    """The request is carried out after a while."""

    async def spoil(fault: Fault, hit: Hit) -> HttpResponse:
        await asyncio.sleep(fault.value or usual_s)
        return await hit.answer()

    return spoil


def _sent(change: Callable[[HttpResponse, Fault], HttpResponse]) -> Spoil:
    """The good answer is sent in a bad way."""

    async def spoil(fault: Fault, hit: Hit) -> HttpResponse:
        return change(await hit.answer(), fault)

    return spoil


def _body(change: Callable[[bytes, Fault], bytes]) -> Spoil:
    """The good answer's body is made bad."""
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
"""What each kind of fault does: the one place that names them all."""


class Faults:
    """The faults that wait for their request, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let a fault wait. Raises ValueError for a kind that there is not."""
        if fault.kind not in TABLE:
            raise ValueError(f"no fault of the kind '{fault.kind}'; there are {', '.join(sorted(TABLE))}")
        self._waiting.append(fault)

    @property
    def pending(self) -> int:
        """How many still wait."""
        return len(self._waiting)

    def clear(self) -> None:
        """No more trouble."""
        self._waiting.clear()

    async def answer(self, operation: str, args: Mapping[str, object], hit: Hit) -> HttpResponse:
        """The answer to a request: spoiled by the fault that waited for it, else good."""
        fault = self._take(operation, args)
        return await (hit.answer() if fault is None else TABLE[fault.kind](fault, hit))

    def _take(self, operation: str, args: Mapping[str, object]) -> Fault | None:
        """The fault for a request, if there is one; it counts down."""
        for index, fault in enumerate(self._waiting):
            if fault.operation in {"", operation} and (not fault.about or fault.about in args.values()):
                if fault.times > 1:
                    self._waiting[index] = replace(fault, times=fault.times - 1)
                else:
                    del self._waiting[index]
                return fault
        return None
