"""Poll replies as the simulated PBX writes them, and ways to break them."""

import re
from collections.abc import Callable
from random import Random

from bridge.sim import xml
from bridge.sim.model import Entry, LegNews, No, SimUser, UserNews
from bridge.sim.xml import Decoration, Writer

ANNA = SimUser(
    "Anna Müller",
    "anna",
    "21",
    "Anna <&>",
    guid="g-anna",
    groups=(("all", True), ("x", False)),
    emails=("a@example.com",),
    presence=(Entry("tel:", "busy", "back at 5", "open"),),
)
PEOPLE = (ANNA, SimUser("Bert", "bert", "22", guid="g-bert"), SimUser("Night", object="bool", guid="g-night"))
NOBODY = SimUser("")
NUMBERS = (
    No("peer", "", "ACME", "0123"),
    No("this", "Anna Müller", "Anna", "21", "anna"),
    No("ct", "Bert", "", "22", "bert"),
)
LEGS = (
    LegNews(1, 17, 132 + 256, NUMBERS, "x-alert", "conf-1", 17, "a%20b"),
    LegNews(
        2, 18, 5, (No("peer", e164="21"), No("leg2", "Anna Müller", "", "21", "anna")), "", "conf-2", None
    ),
    LegNews(1, 17, 7, NUMBERS[:1], "x-rel", "conf-1", 16, active=False),
    LegNews(3, 19, 5, (No("peer", e164="11"),), "", "", None),
)
DRESSES = (
    Decoration(),
    Decoration(xsi_type=False, array_type=False),
    Decoration(item_names=True, extra=True),
    Decoration(named_types=True, empty="nil"),
    Decoration(old_order=True, two_presences=True, latin1=True),
)
TAG = re.compile(rb"(?<=</)[\w:]+|(?<=<)[A-Za-z][\w:]*")
NUMBER = re.compile(rb"(?<=>)[0-9]+(?=<)")
NAMES = (
    *(b"user", b"call", b"item", b"cn", b"guid", b"No", b"info", b"groups", b"presence", b"email", b"state"),
    *(b"return", b"e:Body", b"e:Fault", b"e:Envelope", b"x:y", b"xml", b"a" * 300),
)
DTD = b'<!DOCTYPE a [<!ENTITY foo "bar">]>'
MARKUP = (
    *(
        b"&foo;",
        b"&amp;",
        b"&#0;",
        b"&#xD800;",
        b"&#xFFFE;",
        b"&#x1F600;",
        b"&lt;cn&gt;",
        b"&",
        b"%00",
        b"%FF",
    ),
    *(
        b"<!-- x -->",
        b"<!--",
        b"<![CDATA[<cn>]]>",
        b"]]>",
        b"<?pi x?>",
        b"<a/>",
        b"<a>",
        b"</a>",
        b"<cn>x</cn>",
    ),
    *(DTD, b"<!doctype a>", b"<?xml version='1.1'?>", b' xsi:nil="true"'),
    *(b"\0", b"\x1b", b"\xff", b"\xc3", b"\xed\xa0\x80", "\u2028\ufeff".encode(), "١٢".encode(), b"-", b"_"),
)
ENCODINGS = (b"utf-16", b"latin-1", b"utf-7", b"us-ascii", b"ebcdic-cp-us", b"x", b"")
LONGEST_NUMBER = 30
Mutation = Callable[[Random, bytes], bytes]


def reply(random: Random) -> bytes:
    """A good reply: some users, some legs, perhaps the end of the list."""
    users = [UserNews(user, random.randrange(3), 1, gone=random.random() < 0.2) for user in PEOPLE]
    end = [UserNews(NOBODY, end_of_list=True)] if random.random() < 0.2 else []
    writer = Writer(random.choice(DRESSES))
    news = random.sample(users, random.randrange(3))
    legs = random.sample(LEGS, random.randrange(len(LEGS)))
    return writer.finish(xml.reply("Poll", [writer.any_info([*news, *end], legs)]))


def mutated(random: Random) -> bytes:
    """A reply broken in one to three ways."""
    body = reply(random)
    for _ in range(random.choice((1, 1, 2, 3))):
        body = random.choice(MUTATIONS)(random, body)
    return body


def flipped(random: Random, body: bytes) -> bytes:
    """One bit of one byte."""
    place = _place(random, body)
    changed = bytes(byte ^ 1 << random.randrange(8) for byte in body[place : place + 1])
    return body[:place] + changed + body[place + 1 :]


def replaced(random: Random, body: bytes) -> bytes:
    """Some bytes become other bytes."""
    place = _place(random, body)
    noise = random.randbytes(random.randrange(1, 9))
    return body[:place] + noise + body[place + len(noise) :]


def deleted(random: Random, body: bytes) -> bytes:
    """A slice is missing."""
    place = _place(random, body)
    return body[:place] + body[place + random.randrange(1, 60) :]


def inserted(random: Random, body: bytes) -> bytes:
    """Bytes too many."""
    place = _place(random, body)
    return body[:place] + random.randbytes(random.randrange(1, 20)) + body[place:]


def marked_up(random: Random, body: bytes) -> bytes:
    """An entity, a comment, a DTD, a control character in the middle, mostly in a text."""
    texts = [found.end() for found in re.finditer(rb">[^<]", body)]
    place = random.choice(texts) if texts and random.random() < 0.7 else _place(random, body)
    return body[:place] + random.choice(MARKUP) * random.choice((1, 1, 1, 50)) + body[place:]


def duplicated(random: Random, body: bytes) -> bytes:
    """A slice comes twice, or many times."""
    place = _place(random, body)
    part = body[place : place + random.randrange(1, 200)]
    return body[:place] + part * random.choice((2, 2, 30)) + body[place + len(part) :]


def doubled_element(random: Random, body: bytes) -> bytes:
    """An element comes twice, in order."""
    names = TAG.findall(body)
    if not names:
        return body
    name = re.escape(random.choice(names))
    found = re.search(rb"<%s[ >].*?</%s>" % (name, name), body, re.DOTALL)
    return body if found is None else body[: found.end()] + found.group() + body[found.end() :]


def renamed(random: Random, body: bytes) -> bytes:
    """A tag has another name: all of its kind, or one without its partner."""
    names = TAG.findall(body)
    if not names:
        return body
    old, new = random.choice(names), random.choice(NAMES)
    return re.sub(
        rb"(</?)%s(?=[\s/>])" % re.escape(old), rb"\g<1>" + new, body, count=random.choice((0, 0, 1, 2))
    )


def cut(random: Random, body: bytes) -> bytes:
    """The end is missing."""
    return body[: _place(random, body)]


def odd_number(random: Random, body: bytes) -> bytes:
    """A number is long, negative, or none."""
    numbers = list(NUMBER.finditer(body))
    if not numbers:
        return body
    found = random.choice(numbers)
    value = random.choice(
        (b"-1", b"0x10", b"1e9", b" 7 ", b"9" * random.randrange(1, LONGEST_NUMBER), b"1_0", b"")
    )
    return body[: found.start()] + value + body[found.end() :]


def other_encoding(random: Random, body: bytes) -> bytes:
    """The declaration lies, or the bytes are of another encoding."""
    way = random.randrange(3)
    if way == 0:
        return body.replace(b"utf-8", random.choice(ENCODINGS), 1)
    if way == 1:
        return b"\xef\xbb\xbf" + body
    return body.decode(errors="replace").encode(random.choice(("utf-16", "utf-16-be", "utf-32")))


def with_dtd(random: Random, body: bytes) -> bytes:
    """A DTD in front, in this encoding or in another one, and its entity in an array or in a text."""
    head, end, rest = body.partition(b"?>")
    place = random.choice((b"</cn>", b"</No>", b"</user>", b"</groups>"))
    text = (head + end + DTD + rest.replace(place, b"&foo;" + place, 1)).decode(errors="replace")
    return text.encode(random.choice(("utf-8", "utf-16")))


def odd_escape(random: Random, body: bytes) -> bytes:
    """The user-to-user information escapes what is no UTF-8, or nothing."""
    return body.replace(b"%20", random.choice((b"%FF", b"%C3%28", b"%ED%A0%80", b"%00", b"%", b"%u0041")))


MUTATIONS: tuple[Mutation, ...] = (
    *(flipped, replaced, deleted, inserted, duplicated, cut, other_encoding, with_dtd, odd_escape),
    *(marked_up, doubled_element, renamed, odd_number) * 2,
)


def _place(random: Random, body: bytes) -> int:
    return random.randrange(len(body) + 1)
