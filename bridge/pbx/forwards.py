"""Reads and changes the forwards of users, by documents for Admin (docs/wire.md#admin). Polls nothing.

The PBX does not notice duplicates, and says ok when it has removed nothing: so what is there is read first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Protocol

from lxml import etree

from bridge.core.backend import IgnoreEvents, InTime, PbxEvents, at_any_time
from bridge.core.commands.verbs.forward import SetForwards
from bridge.core.model import User
from bridge.core.records import Batch, Forwards
from bridge.errors import CommandError, LinkError, ProtocolError, Unreachable
from bridge.pbx.parse import parse_xml

PER_S = 5.0
"""How many users a second are read. All of a PBX are read in a row after the start."""
KINDS = {"always": "cfu", "busy": "cfb", "no_answer": "cfnr"}
ENDS = ("e164", "h323")
GIVES_UP, AGAIN_S = 3, 60.0
"""After so many failures in a row one user a minute is tried: the account may be no administrator's."""
LONGEST = 128
CHANGE_S, FINISH_S = 10.0, 2.0
"""How long the writing of one change may take, and how much of that when the session is about to end."""
REFUSED = "the PBX did not change the forward; the bridge needs the account of an administrator for that"
PARTLY = "the PBX has made only a part of the changes; the state of the user shows what it is now"


class Administration(Protocol):
    """What of a client is needed here."""

    async def admin(self, xml: str, in_time: InTime) -> str:
        """Have a document carried out; the document that it answers, or "" for anything else."""
        ...


class ForwardsReader:
    """The forwards of one session. `ping` raises a LinkError if the PBX has lost the session."""

    def __init__(self, client: Administration, ping: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._ping = ping
        self._events: PbxEvents = IgnoreEvents()
        self._wanted: dict[str, str] = {}
        self._work = asyncio.Event()
        self._writing: set[asyncio.Task[None]] = set()

    def begin(self, events: PbxEvents) -> None:
        """The session is open."""
        self._events = events

    def read(self, guid: str, name: str, *, first: bool = False) -> None:
        """Have the forwards of a user reported, soon; `first`: before those of all others."""
        if first:
            self._wanted = {guid: name, **self._wanted}
        else:
            self._wanted[guid] = name
        self._work.set()

    async def run(self) -> None:
        """Read what is wanted, one user at a time."""
        failures = 0
        while True:
            await self._work.wait()
            guid = next(iter(self._wanted))
            name = self._wanted.pop(guid)
            if not self._wanted:
                self._work.clear()
            failures = 0 if await self._report(guid, name, failures) else failures + 1
            await asyncio.sleep(1 / PER_S if failures < GIVES_UP else AGAIN_S)

    async def change(self, action: SetForwards, in_time: InTime) -> None:
        """Change forwards of a user. A new one is added before others go, unless it was there twice.

        What has begun goes on if the caller is cancelled, as it is at its deadline, within CHANGE_S.
        """
        if self._writing:
            await asyncio.wait(self._writing)
        name = action.user.record.name
        user = await self._show(name, in_time, config="true")
        if user is None:
            raise CommandError("refused", REFUSED)
        unchecked = [in_time]
        task = asyncio.create_task(self._write(action.user, documents(user, action), unchecked))
        self._writing.add(task)
        task.add_done_callback(self._written)
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            if unchecked:
                task.cancel()
            raise
        await task

    async def finish(self) -> None:
        """Wait until a change that has begun is complete, FINISH_S at most: the session is about to end."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=FINISH_S)

    async def _write(self, user: User, wanted: Sequence[str], unchecked: list[InTime]) -> None:
        """Have documents carried out. `unchecked`: the check of the deadline, until something is written."""
        changed = False

        def begins() -> None:
            """From the first document on, all are to be written."""
            for in_time in unchecked:
                in_time()
            unchecked.clear()

        try:
            async with asyncio.timeout(CHANGE_S):
                for each in wanted:
                    if not is_ok(await self._client.admin(each, begins)):
                        raise CommandError("refused", PARTLY if changed else REFUSED)
                    changed = True
        except (TimeoutError, LinkError) as error:
            if not changed:
                raise
            late = isinstance(error, TimeoutError | Unreachable)
            detail = f"{PARTLY}: {error}" if str(error) else PARTLY
            raise CommandError("timeout" if late else "pbx_error", PARTLY, detail=detail) from error
        finally:
            if not (wanted and unchecked):
                self.read(user.guid, user.record.name, first=True)

    def _written(self, task: asyncio.Task[None]) -> None:
        """Forget a change; if its caller was cancelled, nobody else asks how it went."""
        self._writing.discard(task)
        if not task.cancelled():
            task.exception()

    async def _report(self, guid: str, name: str, failures: int) -> bool:
        """Read one user. A failed request does not end the session, unless the PBX has lost it."""
        try:
            user = await self._show(name, at_any_time)
            reason = "the PBX does not show its configuration"
        except LinkError as error:
            await self._ping()
            user, reason = None, error.reason
            if failures < GIVES_UP:
                self.read(guid, name)
        if user is not None:
            self._events.reported(Batch(forwards=((guid, forwards_of(user)),)))
        elif not failures:
            self._events.forwards_unread(name, reason)
        return user is not None

    async def _show(self, name: str, in_time: InTime, **how: str) -> etree._Element | None:
        """The configuration of a user; None where the PBX gives that of nobody, or of somebody else."""
        answer = await self._client.admin(document("show", name, **how), in_time)
        user = parse_xml(answer.encode())[0].find("user") if answer.strip() else None
        return None if user is None or user.get("cn", name) != name else user


def document(command: str, name: str, *diversions: etree._Element, **how: str) -> str:
    """A document about a user; lxml writes the quotes and ampersands of its name as XML wants them."""
    root = etree.Element(command)
    user = etree.SubElement(root, "user", {"cn": name, **how})
    user.extend(deepcopy(each) for each in diversions)
    return etree.tostring(root, encoding="unicode")


def documents(user: etree._Element, action: SetForwards) -> list[str]:
    """What to write, one after the other, so that a user has the forwards that are wanted."""
    wanted = ((kind, getattr(action, member)) for member, kind in KINDS.items())
    return [
        document(command, action.user.record.name, diversion)
        for kind, number in wanted
        if number is not None
        for command, diversion in changes(own(user, kind), kind, number)
    ]


def changes(known: list[etree._Element], kind: str, wanted: str) -> Iterator[tuple[str, etree._Element]]:
    """What to write so that exactly one forward of a kind is left; none if nothing is wanted.

    Of several that are equal, one removal may take all: then it is added last.
    """
    new = etree.Element("cd", {"type": kind})
    etree.SubElement(new, "ep", {"e164": wanted})
    kept = [each for each in known if wanted and _number(each) == wanted]
    if wanted and not kept:
        yield "add-attrib", new
    for each in known:
        if len(kept) != 1 or each is not kept[0]:
            yield "del-attrib", each
    if len(kept) > 1:
        yield "add-attrib", new


def own(user: etree._Element, kind: str) -> list[etree._Element]:
    """The forwards of a kind that hold always. One with more attributes has conditions, and is not ours."""
    return [each for each in user.findall("cd") if each.get("type") == kind and len(each.attrib) == 1]


def forwards_of(user: etree._Element) -> Forwards:
    """The forwards of a user: the first of each kind counts."""
    found: Mapping[str, str | None] = {
        member: next((_end(each) for each in own(user, kind)), None) or None for member, kind in KINDS.items()
    }
    return Forwards(**found)


def _number(element: etree._Element) -> str:
    """The number that a forward leads to; a short name of the same digits may be somebody else's."""
    end = element.find("ep")
    return "" if end is None else end.get("e164") or ""


def _end(element: etree._Element) -> str:
    """Where a forward leads: a number, else a short name."""
    end = element.find("ep")
    named = (end.get(name) or "" for name in ENDS) if end is not None else ()
    return next(filter(None, named), "")[:LONGEST]


def is_ok(answer: str) -> bool:
    """Whether a change was made."""
    try:
        return parse_xml(answer.strip().encode())[0].tag == "ok"
    except ProtocolError:
        return False
