"""Responses that harm a careless reader. Each is correct except for one thing. Bytes only."""

import re

LEVELS = 10
SHORT = b"hostile"
_LONG = 100_000
_BAD_UTF8 = b"\xff\xc0\x80\xed\xa0\x80\xf5"
_TYPE = re.compile(rb'xsi:type="[^"]*"')


def laughs(answer: bytes) -> bytes:
    """Billion laughs in text and in an attribute: each of ten entities expands to ten of the one before."""
    entities = [b'<!ENTITY l0 "%s">' % SHORT]
    entities += [b'<!ENTITY l%d "%s">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, LEVELS)]
    last = b"&l%d;" % (LEVELS - 1)
    return _declared(answer, b"[%s]" % b"".join(entities), b'<x y="%s">%s</x>' % (last, last))


def hidden_laughs(answer: bytes) -> bytes:
    """Billion laughs in UTF-16, where a search for the bytes of a DTD finds none."""
    return laughs(answer).decode().replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16")


def quadratic(answer: bytes) -> bytes:
    """Quadratic blow-up: one long entity, used very often."""
    return _declared(answer, b'[<!ENTITY q "%s">]' % (SHORT * (_LONG // len(SHORT))), b"&q;" * _LONG)


def external_entity(answer: bytes, address: str) -> bytes:
    """XXE: an entity that refers to an address."""
    return _declared(answer, b'[<!ENTITY x SYSTEM "%s">]' % address.encode(), b"&x;")


def external_dtd(answer: bytes, address: str) -> bytes:
    """A DTD that refers to an address."""
    return _declared(answer, b'SYSTEM "%s"' % address.encode(), b"")


def unused_dtd(answer: bytes) -> bytes:
    """A DTD that does nothing."""
    return _declared(answer, b'[<!ENTITY x "y">]', b"")


def deep(answer: bytes, levels: int) -> bytes:
    """Elements nested in each other."""
    return _with(answer, b"<a>" * levels + b"</a>" * levels)


def text(answer: bytes, size: int) -> bytes:
    """One text node of `size` bytes."""
    return _with(answer, b"x" * size)


def elements(answer: bytes, size: int) -> bytes:
    """The smallest possible elements, `size` bytes in total."""
    return _with(answer, b"<a/>" * (size // len(b"<a/>")))


def bad_utf8(answer: bytes, size: int) -> bytes:
    """`size` bytes that are not UTF-8."""
    return _with(answer, (_BAD_UTF8 * (size // len(_BAD_UTF8) + 1))[:size])


def nul(answer: bytes, size: int) -> bytes:
    """`size` NUL bytes."""
    return _with(answer, bytes(size))


def unknown_type(answer: bytes, namespace: str) -> bytes:
    """Every type is in an unknown namespace, with a hint where to fetch its schema."""
    space = namespace.encode()
    hint = b'<e:Envelope xmlns:odd="%s" xsi:schemaLocation="%s %s"' % (space, space, space)
    return _TYPE.sub(b'xsi:type="odd:Hostile"', answer).replace(b"<e:Envelope", hint, 1)


def _with(answer: bytes, content: bytes) -> bytes:
    """The response with one more element in its SOAP body, after the requested one."""
    return answer.replace(b"</e:Body>", b"<%s>%s</%s></e:Body>" % (SHORT, content, SHORT), 1)


def _declared(answer: bytes, dtd: bytes, content: bytes) -> bytes:
    """The response with a DTD and content that uses it."""
    return _with(answer, content).replace(b"?>", b"?><!DOCTYPE e:Envelope %s>" % dtd, 1)
