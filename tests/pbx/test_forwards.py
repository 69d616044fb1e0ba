"""The documents about forwards: written with any name, read whatever they hold, changed to exactly one."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from bridge.core.backend import InTime, at_any_time
from bridge.core.commands.verbs.forward import SetForwards
from bridge.core.records import Forwards
from bridge.errors import CommandError, LinkError, ProtocolError, Unreachable
from bridge.pbx import forwards
from bridge.pbx.forwards import ForwardsReader, changes, document, forwards_of, is_ok, own
from tests.bus import eventually
from tests.core.builders import ANNA, History

NUMBERS = st.sampled_from(["0111", "0222", "0333"])


def user(*ends: str, kind: str = "cfu") -> etree._Element:
    """A user with forwards of a kind."""
    inner = "".join(f'<cd type="{kind}"><ep e164="{end}"/></cd>' for end in ends)
    return etree.fromstring(f"<user>{inner}</user>")


def applied(ends: Sequence[str], wanted: str, *, removes_all: bool) -> list[str]:
    """What is left when the changes are made by a PBX that removes one, or all, that are equal."""
    left = list(ends)
    for command, diversion in changes(own(user(*ends), "cfu"), "cfu", wanted):
        end = forwards_of(etree.fromstring(f"<user>{etree.tostring(diversion).decode()}</user>")).always or ""
        if command == "add-attrib":
            left.append(end)
        elif removes_all:
            left = [each for each in left if each != end]
        elif end in left:
            left.remove(end)
    return left


class ReadOnly:
    """An administration that shows everything and changes nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def admin(self, xml: str, in_time: InTime) -> str:
        """Show Anna; refuse the rest."""
        in_time()
        self.asked.append(xml)
        return '<show><user cn="Anna Ex"/></show>' if xml.startswith("<show") else "<error/>"


async def alive() -> None:
    """The PBX knows the session."""


class Scripted:
    """An administration that shows Anna with an old forward, and waits at its first change for `goes_on`.

    `answers`: those to the changes, in their order; an error is raised.
    """

    def __init__(self, *answers: str | LinkError) -> None:
        self.asked: list[str] = []
        self.goes_on = asyncio.Event()
        self._answers = iter(answers)

    @property
    def commands(self) -> list[str]:
        """The words of what was asked."""
        return [xml[1:].partition(">")[0] for xml in self.asked]

    async def admin(self, xml: str, in_time: InTime) -> str:
        """Show, or do what the script says."""
        in_time()
        self.asked.append(xml)
        if xml.startswith("<show"):
            return '<show><user cn="Anna Ex"><cd type="cfu"><ep e164="0222"/></cd></user></show>'
        await self.goes_on.wait()
        answer = next(self._answers)
        if isinstance(answer, LinkError):
            raise answer
        return answer


async def first_shown(reader: ForwardsReader, administration: Scripted) -> str:
    """The first user that is read from now on."""
    before = len(administration.asked)
    reading = asyncio.create_task(reader.run())
    await eventually(lambda: len(administration.asked) > before, "somebody is read")
    reading.cancel()
    await asyncio.wait((reading,))
    return administration.asked[before]


async def test_what_has_begun_is_completed() -> None:
    """Neither a deadline nor a reload leaves the old forward beside the new one."""
    administration = Scripted("<ok/>", "<ok/>")
    reader = ForwardsReader(administration, alive)
    anna = History().start().state.users[ANNA]
    change = asyncio.create_task(reader.change(SetForwards(anna, "0111", None, None), at_any_time))
    await eventually(lambda: administration.commands == ["show", "add-attrib"], "the first is written")
    change.cancel()
    await asyncio.wait((change,))
    administration.goes_on.set()
    await reader.finish()

    assert change.cancelled()
    assert administration.commands == ["show", "add-attrib", "del-attrib"]


async def test_the_next_change_waits_for_one_that_goes_on() -> None:
    """It would read what is just being changed, and add a second forward."""
    administration = Scripted("<ok/>", "<ok/>", "<ok/>", "<ok/>")
    reader = ForwardsReader(administration, alive)
    anna = History().start().state.users[ANNA]
    first = asyncio.create_task(reader.change(SetForwards(anna, "0111", None, None), at_any_time))
    await eventually(lambda: administration.commands == ["show", "add-attrib"], "the first is written")
    first.cancel()
    await asyncio.wait((first,))
    second = asyncio.create_task(reader.change(SetForwards(anna, "0333", None, None), at_any_time))
    administration.goes_on.set()
    await second

    assert administration.commands == ["show", "add-attrib", "del-attrib"] * 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("<error/>", "refused"),
        (Unreachable("no answer"), "timeout"),
        (ProtocolError("no XML"), "pbx_error"),
    ],
)
async def test_a_part_is_told_and_read(answer: str | LinkError, code: str) -> None:
    """The reply says that something has changed, and the state shows what: before that of anybody else."""
    administration = Scripted("<ok/>", answer)
    administration.goes_on.set()
    reader = ForwardsReader(administration, alive)
    for number in range(100):
        reader.read(str(number), f"User {number}")
    anna = History().start().state.users[ANNA]
    with pytest.raises(CommandError) as refused:
        await reader.change(SetForwards(anna, "0111", None, None), at_any_time)

    assert (refused.value.code, "a part" in refused.value.message) == (code, True)
    assert anna.record.name in await first_shown(reader, administration)


async def test_who_was_changed_is_read_next() -> None:
    """Not after the ten thousand whose forwards are read at the start."""
    administration = Scripted("<ok/>", "<ok/>")
    administration.goes_on.set()
    reader = ForwardsReader(administration, alive)
    anna = History().start().state.users[ANNA]
    for guid in (*map(str, range(100)), anna.guid):
        reader.read(guid, "Anna Ex" if guid == anna.guid else f"User {guid}")
    await reader.change(SetForwards(anna, "0111", None, None), at_any_time)

    assert anna.record.name in await first_shown(reader, administration)


@pytest.mark.parametrize("checks", [1, 2, 3])
async def test_a_change_that_is_refused_or_late(checks: int) -> None:
    """The deadline counts until something is written; what the PBX refuses is said."""
    administration, left = ReadOnly(), iter(range(checks - 1))

    def in_time() -> None:
        if next(left, None) is None:
            raise CommandError("expired", "too late")

    anna = History().start().state.users[ANNA]
    with pytest.raises(CommandError) as refused:
        await ForwardsReader(administration, alive).change(SetForwards(anna, "0111", None, ""), in_time)
    assert refused.value.code == ("expired" if checks < 3 else "refused")
    assert len(administration.asked) == checks - 1


@given(st.lists(NUMBERS, max_size=5), NUMBERS | st.just(""), st.booleans())
def test_exactly_one_is_left(ends: list[str], wanted: str, removes_all: bool) -> None:  # noqa: FBT001  (a case)
    """Whether a removal takes one of several that are equal or all of them: the samples do not say."""
    assert applied(ends, wanted, removes_all=removes_all) == ([wanted] if wanted else [])


def test_what_is_right_is_not_touched() -> None:
    """No request, no change of the configuration."""
    assert list(changes(own(user("0111"), "cfu"), "cfu", "0111")) == []


def test_what_has_conditions_is_not_ours() -> None:
    """It is no forward that always holds: it is neither shown, nor counted as set, nor removed."""
    anna = etree.fromstring('<user><cd type="cfu" bool="Night"><ep e164="0111"/></cd></user>')
    written = [(command, etree.tostring(each)) for command, each in changes(own(anna, "cfu"), "cfu", "0111")]
    assert written == [("add-attrib", b'<cd type="cfu"><ep e164="0111"/></cd>')]
    assert list(changes(own(anna, "cfu"), "cfu", "")) == []
    assert forwards_of(anna) == Forwards()


def test_a_short_name_is_no_number() -> None:
    """Somebody may be called 21 who has another number."""
    anna = etree.fromstring('<user><cd type="cfu"><ep h323="21"/></cd></user>')
    written = [(command, etree.tostring(each)) for command, each in changes(own(anna, "cfu"), "cfu", "21")]
    assert written == [
        ("add-attrib", b'<cd type="cfu"><ep e164="21"/></cd>'),
        ("del-attrib", b'<cd type="cfu"><ep h323="21"/></cd>'),
    ]


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20))
def test_any_name_can_be_written(name: str) -> None:
    """Quotes, ampersands, umlauts."""
    if "\ufffe" not in name and "\uffff" not in name:
        read = etree.fromstring(document("show", name, config="true")).find("user")
        assert read is not None
        assert (read.get("cn"), read.get("config")) == (name, "true")


@pytest.mark.parametrize(
    ("inner", "found"),
    [
        ("", Forwards()),
        ('<cd type="cfu"/><cd/><cd type="cfx"><ep e164="1"/></cd>', Forwards()),
        ('<cd type="cfu"><ep/></cd>', Forwards()),
        ('<cd type="cfu"><ep e164="" h323="anna"/></cd>', Forwards(always="anna")),
        ('<cd type="cfb"><ep e164="1"/></cd><cd type="cfb"><ep e164="2"/></cd>', Forwards(busy="1")),
        (f'<cd type="cfnr"><ep e164="{"1" * 999}"/></cd>', Forwards(no_answer="1" * forwards.LONGEST)),
    ],
)
def test_forwards_are_read(inner: str, found: Forwards) -> None:
    """The first of a kind counts; a number goes before a name."""
    assert forwards_of(etree.fromstring(f"<user>{inner}</user>")) == found


@pytest.mark.parametrize("answer", ["<ok/>", " <ok/>\r\n", "<ok></ok>"])
def test_a_change_is_confirmed(answer: str) -> None:
    """By one word, with blanks around it."""
    assert is_ok(answer)


@pytest.mark.parametrize("answer", ["<error/>", "", "ok", "<ok", "<html/>"])
def test_anything_else_is_a_refusal(answer: str) -> None:
    """Its form is not documented."""
    assert not is_ok(answer)
