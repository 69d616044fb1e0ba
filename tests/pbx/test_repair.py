"""One bad record costs itself only: every other one is decoded as if nothing were wrong."""

import re
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.records import Batch
from bridge.errors import ProtocolError
from bridge.pbx.wire import PollSlice, decode_poll
from bridge.sim import xml
from bridge.sim.model import LegNews, No, SimUser, UserNews
from bridge.sim.xml import Decoration, Writer
from tests.pbx.oracle import zeeps_answer

MARK = "@@"
DRESSES = st.sampled_from(
    (
        Decoration(),
        Decoration(xsi_type=False, array_type=False),
        Decoration(item_names=True),
        Decoration(item_names=True, xsi_type=False, array_type=False, extra=True),
        Decoration(named_types=True, old_order=True),
        Decoration(empty="nil", two_presences=True),
    )
)
TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff@"), max_size=8
)
MENDED = {
    "&#11;": "\ufffd",
    "&#x1B;": "\ufffd",
    "&#X1b;": "\ufffd",
    "&#xD800;": "\ufffd",
    "&#0;": "\ufffd",
    "&#xFFFE;": "\ufffd",
    "&#x110000;": "\ufffd",
    "&#99999999999999999999;": "\ufffd",
    "&#x000000041;": "A",
    "&#X41;": "A",
    "\ufffe": "\ufffd",
    "\uffff": "\ufffd",
    "\x0b": "",
    "\x1b": "",
    "&": "&",
    "&&": "&&",
    "& Co": "& Co",
    "&;": "&;",
    "&#;": "&#;",
    "&#x;": "&#x;",
    "&foo;": "&foo;",
    "&foo bar;": "&foo bar;",
    "&uuml;": "ü",
    "&nbsp;": "\u00a0",
    "&LT;": "<",
    "&amp": "&amp",
    "&amp;": "&",
    "&#65;": "A",
    "]]>": "]]>",
    "< 5": "< 5",
    "< < ": "< < ",
    "<3": "<3",
    "<![CDATA[a & b]]>": "a & b",
    "<![CDATA[": "<![CDATA[",
}
"""What a value may hold that is no XML, and how it reads; the last but one is good XML beside a defect."""
LOST = (
    *("<b", "a<b", "</b>", "</cn>", "<cn>", "<b>", "<a:b:c/>"),
    *(
        "<!--",
        "<!-- a -- b -->",
        "<?",
        "<?xml ?>",
        "<!ELEMENT a>",
        "</user>",
        "</call>",
        "</item>",
        "<b></c>",
    ),
)
"""What a value may hold that costs its record."""


def legs_of(texts: list[str]) -> list[LegNews]:
    """A leg for each text, which is its far end's name."""
    return [
        LegNews(
            1, number, 132, (No("peer", "", text, "0123"), No("this", "A")), "x-alert", f"c{number}", None
        )
        for number, text in enumerate(texts)
    ]


def poll(how: Decoration, users: list[str], legs: list[str], *, complete: bool = True) -> bytes:
    """A Poll reply with a user and a leg for each text."""
    writer = Writer(how)
    news = [UserNews(SimUser(f"{n} {text}", f"u{n}", groups=(("x", True),))) for n, text in enumerate(users)]
    end = [UserNews(SimUser(""), end_of_list=True)] if complete else []
    return xml.reply("Poll", [writer.any_info([*news, *end], legs_of(legs))])


def read(body: bytes) -> Batch:
    """All slices as one batch."""
    parts = [part for part in decode_poll(body) if part] or [PollSlice()]
    assert all(not part.unreadable for part in parts[1:])
    return Batch(
        tuple(user for part in parts for user in part.users),
        tuple(leg.record for part in parts for leg in part.legs),
        any(part.list_complete for part in parts),
        parts[0].unreadable,
    )


@pytest.mark.parametrize(("defect", "reads"), MENDED.items(), ids=repr)
@pytest.mark.parametrize("how", [Decoration(), Decoration(item_names=True, xsi_type=False)])
def test_a_defect_is_mended(how: Decoration, defect: str, reads: str) -> None:
    """Wherever it stands, and whatever its spelling; nothing is lost."""
    raw = defect.encode("utf-8", "surrogatepass")
    good = poll(how, ["a", MARK, "b"], ["c", MARK, "&"])
    batch = read(good.replace(MARK.encode(), b"x" + raw + b"y").replace(b"&amp;", b"&"))
    odd = f"x{reads}y"

    assert [user.name for user in batch.users] == ["0 a", f"1 {odd}", "2 b"]
    assert [leg.remote.display_name for leg in batch.legs] == ["c", odd, "&"]
    assert (batch.list_complete, batch.unreadable) == (True, ())


@pytest.mark.parametrize("defect", LOST)
@settings(max_examples=12, deadline=None)
@given(
    how=DRESSES,
    users=st.lists(TEXTS, min_size=1, max_size=4),
    legs=st.lists(TEXTS, max_size=4),
    which=st.integers(0, 7),
)
def test_a_record_that_cannot_be_mended_costs_itself(
    defect: str, how: Decoration, users: list[str], legs: list[str], which: int
) -> None:
    """All others read as before, also the end of the list; what is left out is named."""
    which %= len(users) + len(legs)
    marked = [text + MARK * (number == which) for number, text in enumerate((*users, *legs))]
    plain = read(poll(how, users, legs))
    body = poll(how, marked[: len(users)], marked[len(users) :])
    batch = read(body.replace(MARK.encode(), defect.encode()))

    assert [user for user in plain.users if user.short_name != f"u{which}"] == list(batch.users)
    assert [leg for leg in plain.legs if leg.leg_handle != which - len(users)] == list(batch.legs)
    assert batch.list_complete
    (said,) = batch.unreadable
    assert said.startswith("user record") if which < len(users) else re.fullmatch("call record [0-9]+", said)
    assert said.isprintable()


@pytest.mark.parametrize("piece", [9, 100, 3000])
@pytest.mark.parametrize("defect", [*LOST, "&", "&#11;", "\xfc"])
def test_a_reply_that_is_read_in_pieces_is_mended_alike(
    defect: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the defect was found is not read twice."""
    body = poll(Decoration(), ["a", "b" + MARK, "c"], ["d", MARK, "e"])
    body = body.replace(MARK.encode(), defect.encode("latin-1"))
    plain = read(body)
    monkeypatch.setattr("bridge.pbx.parse.PIECE", piece)

    assert read(body) == plain


@pytest.mark.parametrize("attribute", ["t='a>b'", 't="a>b"', "t='\">\"'", "t=\"x\" u='/>'", 't="a'])
def test_an_attribute_of_a_good_record_does_not_get_into_its_text(attribute: str) -> None:
    """While another record is bad; a > may stand in quotes, and quotes may be the defect."""
    body = poll(Decoration(xsi_type=False), ["a", "b" + MARK], []).replace(MARK.encode(), b"</b>")
    assert b"<cn>0 a" in body
    batch = read(body.replace(b"<cn>0 a", f"<cn {attribute}>0 a".encode()))

    assert [user.name for user in batch.users] == ["0 a"]
    assert batch.list_complete


@settings(max_examples=300, deadline=None)
@given(how=DRESSES, seed=st.integers(0, 2**32), users=st.integers(1, 5), legs=st.integers(0, 5))
def test_whatever_is_wrong_with_one_record(how: Decoration, seed: int, users: int, legs: int) -> None:
    """Bytes that are removed, doubled or made up within one record leave all others as they were."""
    random = Random(seed)  # noqa: S311  (not a secret)
    names, far = [f"user {n}" for n in range(users)], [f"far {n}" for n in range(legs)]
    body = poll(how, names, far)
    plain = read(body)
    which = random.randrange(users + legs)
    start, end = within(body, which, users)
    place = random.randrange(start, end)
    length = random.choice((0, 1, 5, 40))
    noise = random.choice(
        (b"", b"<", b">", b"&", b"\xff\x00", b"</a>", b"<a>", b"&#1;", b'"', random.randbytes(5))
    )
    batch = read(body[:place] + noise + body[min(place + length, end) :])

    others = [user for number, user in enumerate(plain.users) if number != which]
    assert [user for user in batch.users if user in others] == others
    other_legs = [leg for leg in plain.legs if leg.leg_handle != which - users]
    assert [leg for leg in batch.legs if leg in other_legs] == other_legs
    assert batch.list_complete
    assert len(batch.users) + len(batch.legs) + len(batch.unreadable) >= users + legs - 1


def within(body: bytes, which: int, users: int) -> tuple[int, int]:
    """Where the fields of a record are, between its first field and its own end."""
    mark = b"<cn" if which < users else b"<reg"
    place = -1
    for _ in range(which + 1 if which < users else which - users + 1):
        place = body.index(mark, place + 1)
    ends = (b"<colour", b"<email", b"<groups", b"<loc", b"<msg", b"<info")
    return place, min(found for end in ends if (found := body.find(end, place)) >= 0)


@pytest.mark.parametrize("attributes", ["x='1' x='2'", "x", "x=1", "x='1", "y:z='1'", "x='&#11;'"])
@pytest.mark.parametrize("tag", [b"<cn ", b"<user xsi:type", b"<No "])
def test_attributes_that_are_no_xml_cost_nothing(tag: bytes, attributes: str) -> None:
    """None of a record means anything."""
    body = poll(Decoration(), ["a", "b"], ["c"])
    batch = read(body.replace(tag, tag.split()[0] + f" {attributes} ".encode() + tag.split(b" ", 1)[1], 1))

    assert batch == read(body)


def test_zeep_reads_what_is_left() -> None:
    """The answers of other operations are repaired as a Poll is; the oracle agrees with the decoder."""
    body = poll(Decoration(), ["a", MARK, "b", "c" + MARK], ["far", MARK])
    bad = body.replace(MARK.encode(), b"<b", 1).replace(MARK.encode(), b"&#11;")
    seen: Any = zeeps_answer("Poll", bad)
    batch = read(bad)

    users = seen.user.item if hasattr(seen.user, "item") else seen.user
    calls = seen.call.item if hasattr(seen.call, "item") else seen.call
    assert [user.cn for user in users] == [*(user.name for user in batch.users), None]
    assert [call.call for call in calls] == [leg.leg_handle for leg in batch.legs]
    assert batch.users[-1].name == "3 c\ufffd"


@pytest.mark.parametrize("defect", ["<b", "&#11;", "&"])
def test_names_found_by_a_query(defect: str) -> None:
    """One bad name does not cost the answer."""
    writer = Writer(Decoration())
    users = [UserNews(SimUser(name, guid=name)) for name in ("a", MARK, "b")]
    part = writer.array("user", [writer.user_fields(user) for user in users], outer="return")
    body = xml.reply("FindUser", [part]).replace(MARK.encode(), defect.encode())
    found: Any = zeeps_answer("FindUser", body)

    assert [user.cn for user in found if user.cn in {"a", "b"}] == ["a", "b"]


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.97, 0.995])
@pytest.mark.parametrize("defect", ["", "&", "<b"])
def test_what_is_cut_stays_refused(keep: float, defect: str) -> None:
    """A reply whose end is missing may lack more than one record."""
    body = poll(Decoration(), ["a", "b" + MARK, "c"], ["d"]).replace(MARK.encode(), defect.encode())

    with pytest.raises(ProtocolError, match="not XML"):
        read(body[: int(len(body) * keep)])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("</return>", "</retorn>"),
        ("</e:Body>", "</e:Body><b>"),
        ("<e:Body>", "<e:Body"),
        ("<return", "<return<"),
        ("</user></user>", "</user></b>"),
    ],
)
def test_what_is_broken_around_the_records_is_refused(right: str, wrong: str) -> None:
    """There is no telling what belongs where."""
    body = poll(Decoration(), ["a", "b" + MARK], ["c"]).replace(MARK.encode(), b"<b")

    with pytest.raises(ProtocolError, match="not XML"):
        read(body.replace(right.encode(), wrong.encode(), 1))


def test_noise_is_refused() -> None:
    """Not repaired for seconds."""
    body = poll(Decoration(), [MARK], []).replace(MARK.encode(), b"&" * 1_000_000)

    with pytest.raises(ProtocolError, match="too many defects"):
        read(body)


POISON = {
    "ampersands": b"a" * 400 + b"&",
    "open tags": b"<b       ",
    "less-than signs": b"<           ",
    "open sections": b"<![CDATA[",
    "open comments": b"<!--",
    "references": b"a" * 400 + b"&#1;",
    "prefixes": b"<p%d:x>",
    "spaces": b" " * 400,
}


@pytest.mark.alone
@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_the_time_is_linear(poison: bytes) -> None:
    """Four times as much takes some four times as long: nothing is searched again and again."""

    def seconds(size: int) -> float:
        part = b"".join(poison % n if b"%d" in poison else poison for n in range(size // len(poison)))
        good = poll(Decoration(), [f"name {n} of many" for n in range(size // 2000)] + [MARK], [MARK])
        body = good.replace(MARK.encode(), part)
        assert body.count(b"<") < 250_000
        started = time.process_time()
        try:
            read(body)
        except ProtocolError as refusal:
            assert "not XML" in refusal.reason  # noqa: PT017  (some poison may be refused)
        return time.process_time() - started

    small, large = min(seconds(100_000) for _ in range(3)), min(seconds(400_000) for _ in range(2))
    assert large < 10 * small + 0.2
