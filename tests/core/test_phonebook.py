"""Names from a file: CSV and vCard as they come out of address books, and files that were made to do harm."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.dial_plan import DialPlan
from bridge.core.model import RemoteParty
from bridge.core.phonebook import LONGEST_NAME, MOST_NUMBERS, PROBLEMS_AT_MOST, phonebook
from bridge.core.presentation import TopicClass

GERMANY = DialPlan(49, "711", "0")


def read(text: str | bytes) -> tuple[dict[str, str], list[str]]:
    """Names by number, and what is said of lines that cannot be used."""
    found = phonebook(text if isinstance(text, bytes) else text.encode(), GERMANY.written)
    assert found.left_out >= len(found.problems)
    return dict(found.names), list(found.problems)


ACME, BOB = "0049711123456", "00491711234567"
GOOD = {
    "number and name": "0711 123456,ACME\n0171/1234567,Bob\n",
    "semicolons": "0711 123456;ACME\n\n0171/1234567;Bob\n",
    "tabs and CRLF": "0711 123456\tACME\r\n0171/1234567\tBob\r\n",
    "a header": "Name,Street,Number,Number\nACME,x,0711 123456,\nBob,y,,+49 171 1234567\n",
    "quotes": '"0711 123456","ACME"\n"0171/1234567","Bob"\n',
    "byte order mark": b"\xef\xbb\xbfnumber,name\n0711 123456,ACME\n0171/1234567,Bob",
    "vCard 3": "BEGIN:VCARD\nVERSION:3.0\nFN:ACME\nTEL;TYPE=WORK:0711 123456\nEND:VCARD\n"
    "BEGIN:VCARD\nFN:Bob\nitem1.TEL:+49 171 1234567\nEND:VCARD\n\n",
    "vCard 4": 'BEGIN:VCARD\r\nFN:ACME\r\nTEL;VALUE=uri;TYPE="a:b":tel:+49-711-123456;ext=1\r\nEND:VCARD\r\n'
    "begin:vcard\r\nn:;Bob;;;\r\ntel:+49171\r\n 1234567\r\nend:vcard\r\n",
    "vCard 2.1": "BEGIN:VCARD\nFN;ENCODING=QUOTED-PRINTABLE:AC=\n=4DE\nTEL;HOME:0711123456\nEND:VCARD\n"
    "BEGIN:VCARD\nORG:Bob;Sales\nTEL:01711234567\nTEL:01711234567\nPHOTO;BASE64:\n"
    + " x\n" * 9999
    + "END:VCARD",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_a_phonebook(text: str | bytes) -> None:
    """Each kind of file gives the same names."""
    assert read(text) == ({ACME: "ACME", BOB: "Bob"}, [])


CARDS = (
    "BEGIN:VCARD\nFN:ACME\nnonsense\nTEL:0711 123456\nTEL:fax\nEND:VCARD\nNOTE:x\n"
    "BEGIN:VCARD\nFN:Eve\nTEL:030123456\nBEGIN:VCARD\nFN:Bob\nTEL:01711234567\nEND:VCARD\n"
    "BEGIN:VCARD\nTEL:0301234567\nEND:VCARD\n"
    "BEGIN:VCARD\nFN;ENCODING=QUOTED-PRINTABLE:=FF\nEND:VCARD\nBEGIN:VCARD\nFN:Z\nTEL:0301234567"
)
BAD = {
    "csv": (
        "0711 123456,ACME\nBob\nfax,Bob\n0171/1234567,\n\n0171/1234567,Bob\n",
        [
            "line 2: expected a number and a name",
            "line 3: not a telephone number",
            "line 4: the number has no name",
        ],
    ),
    "an open quote": (
        '0711 123456,ACME\n"0171/1234567,Eve\n0171/1234567,Bob\n',
        ["line 2: expected a number and a name"],
    ),
    "bytes": (
        b"0711 123456,ACME\n\xff,x\n1\x00,x\n" + b"9" * 5000 + b",x\n0171/1234567,Bob\n",
        ["line 2: not UTF-8", "line 3: a NUL character", "line 4: too long"],
    ),
    "a carriage return": (
        '0711 123456,ACME\n"1\r2",x\n0171/1234567,Bob\n',
        ["line 2: expected a number and a name", "line 3: not a telephone number"],
    ),
    "cards": (
        CARDS,
        [
            "line 3: expected NAME:value",
            "line 5: not a telephone number",
            "line 7: outside of a card",
            "line 8: this card has no END:VCARD",
            "line 16: the number has no name",
            "line 19: not UTF-8",
            "line 21: this card has no END:VCARD",
        ],
    ),
}


@pytest.mark.parametrize(("text", "problems"), BAD.values(), ids=BAD)
def test_a_wrong_line_costs_itself(text: str | bytes, problems: list[str]) -> None:
    """It is named by its number, and not quoted; all others are used."""
    assert read(text) == ({ACME: "ACME", BOB: "Bob"}, problems)


def test_the_first_name_of_a_number_counts() -> None:
    """One line, of a length that fits on a display, with nothing that cannot be printed."""
    names, _ = read(f"030123456,{'x' * 999}\n030123456,y\n030123457,a\x07\u202e  b\n")

    assert names == {"004930123456": "x" * LONGEST_NAME, "004930123457": "a b"}


def test_a_card_with_escapes() -> None:
    """The first of several names is taken."""
    assert read("BEGIN:VCARD\nFN:Sm\\, ith\\n\\; Co\nFN:x\nTEL:030123456\nEND:VCARD")[0] == {
        "004930123456": "Sm, ith ; Co"
    }
    assert read("BEGIN:VCARD\nN:Smith\\;;Jo;;;\nTEL:030123456\nEND:VCARD")[0] == {"004930123456": "Jo Smith;"}


def test_a_file_that_is_too_long() -> None:
    """Numbers beyond the limit are left out, and a million bad lines fill no log; in reasonable time."""
    begin = time.monotonic()
    many = "".join(f"{number},x\n" for number in range(100_000, 100_000 + MOST_NUMBERS + 100))
    found = phonebook(many.encode() + b"y\n" * 100_000, DialPlan().written)

    assert len(found.names) == MOST_NUMBERS
    assert (len(found.problems), found.left_out) == (PROBLEMS_AT_MOST, 100_100)
    assert found.problems[0] == f"line {MOST_NUMBERS + 1}: more than {MOST_NUMBERS} numbers"
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("text", ["\\" * 4000, ";" * 4000, '"' * 4000, ":" * 4000, "=" * 4000, "a\\;" * 1300])
@pytest.mark.parametrize("key", ["FN", "N", "TEL", "ORG;QUOTED-PRINTABLE"])
def test_a_line_that_was_made_to_take_long(key: str, text: str) -> None:
    """No expression backtracks."""
    begin = time.monotonic()
    read("BEGIN:VCARD\n" + f"{key}:{text}\n" * 50 + "END:VCARD")

    assert time.monotonic() - begin < 10


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: b"BEGIN:VCARD\n" + text.encode(errors="replace"))
)
def test_any_file_is_read(content: bytes) -> None:
    """Total: what it cannot use it leaves out."""
    phonebook(content, GERMANY.written)


@given(
    st.sampled_from(["FN", "N", "TEL", "ORG", "BEGIN", "END"]),
    st.sampled_from(["", ";ENCODING=QUOTED-PRINTABLE"]),
    st.text(max_size=50) | st.sampled_from(["€", "=E2=82=AC", "=", "=\u20ac"]),
)
def test_any_line_of_a_card_is_read(key: str, parameter: str, value: str) -> None:
    """It never costs the cards beside it."""
    line = f"{key}{parameter}:{value}\n".encode(errors="replace")
    book = b"BEGIN:VCARD\nFN:ACME\nTEL:0711 123456\nEND:VCARD\nBEGIN:VCARD\n" + line

    assert phonebook(book, GERMANY.written).names[ACME] == "ACME"


def test_a_quoted_value_may_hold_what_needs_no_quotes() -> None:
    """Some address books leave letters beyond ASCII as they are."""
    card = "BEGIN:VCARD\nFN;ENCODING=QUOTED-PRINTABLE:Café =E2=82=AC\nTEL:0711 123456\nEND:VCARD"

    assert read(card) == ({ACME: "Café €"}, [])


def test_a_name_is_given_to_those_outside() -> None:
    """By the number in E.164. A user of the PBX keeps its name, and so does who is not in the book."""
    book = phonebook(b"0711 123456,ACME\n21,Door\n", GERMANY.written)
    parties = [
        RemoteParty("+49711123456", "x"),
        RemoteParty("21", "Anna", "anna"),
        RemoteParty("21"),
        RemoteParty("", "y"),
    ]

    assert [book.show(party, TopicClass.STATE).name for party in parties] == ["ACME", "Anna", "Door", "y"]


def test_numbers_where_only_pbxs_have_a_dial_plan() -> None:
    """A number outside is found as it is published, with its country code."""
    book = phonebook(b"+49 711 123456,ACME\n0711 123457,Bob\n", DialPlan().written)
    parties = [GERMANY.show(RemoteParty(number), TopicClass.STATE) for number in ("0123456", "0123457")]

    assert [book.show(party, TopicClass.STATE).name for party in parties] == ["ACME", ""]
