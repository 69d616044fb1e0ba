"""Names of numbers outside: read from the text of a CSV or vCard file, and given to parties. Pure and total.

A line that cannot be used is left out and named by its number; its text is not shown.
"""

import csv
import quopri
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bridge.core.model import RemoteParty
from bridge.core.numbers import dialable, normal
from bridge.core.presentation import TopicClass
from bridge.core.value import evolve

LONGEST_NAME = 128
LONGEST_LINE = 4096
"""Longest line that is read, and longest content line of a vCard: a picture is longer, and not needed."""
MOST_NUMBERS = 50_000
PROBLEMS_AT_MOST = 20
"""So many problems are described; the others are counted."""
_DELIMITERS = ",;\t"
_NUMBER, _NAME = "number", "name"


@dataclass(frozen=True, slots=True)
class Entry:
    """A number with its name, and the line that they are from; or what is wrong with that line."""

    line: int
    number: str = ""
    name: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Phonebook:
    """Names by number, in the normal form of patterns. `problems` describes the first unusable lines."""

    names: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    left_out: int = 0

    def show(self, party: RemoteParty, _topic_class: TopicClass) -> RemoteParty:
        """A step of the presentation: the name of a party that is no user of this PBX."""
        name = self.names.get(normal(party.number)) if party.user is None else None
        return party if name is None else evolve(party, name=name)


def phonebook(content: bytes, written: Callable[[str], str]) -> Phonebook:
    """The phonebook in a file. `written` brings a number as people write it into the published form."""
    names: dict[str, str] = {}
    problems: list[str] = []
    left_out = 0
    for entry in _entries(content.removeprefix(b"\xef\xbb\xbf")):
        problem = entry.problem or _unusable(entry, full=len(names) >= MOST_NUMBERS)
        if problem:
            left_out += 1
            problems += [f"line {entry.line}: {problem}"] if len(problems) < PROBLEMS_AT_MOST else []
        else:
            names.setdefault(normal(written(entry.number)), _one_line(entry.name))
    return Phonebook(names, tuple(problems), left_out)


def _unusable(entry: Entry, *, full: bool) -> str:
    if not dialable(entry.number):
        return "not a telephone number"
    if not _one_line(entry.name):
        return "the number has no name"
    return f"more than {MOST_NUMBERS} numbers" if full else ""


def _one_line(name: str) -> str:
    """A name without line breaks and other characters that cannot be printed."""
    return " ".join("".join(each if each.isprintable() else " " for each in name).split())[:LONGEST_NAME]


def _entries(content: bytes) -> Iterator[Entry]:
    lines = enumerate(content.splitlines(), 1)
    is_vcard = content.lstrip()[:11].upper() == b"BEGIN:VCARD"
    return _of_cards(_unfolded(lines)) if is_vcard else _of_rows(lines)


def _of_rows(lines: Iterable[tuple[int, bytes]]) -> Iterator[Entry]:
    """Rows of `number` and `name`, in this order unless the first row says otherwise."""
    numbers, name, delimiter = [0], 1, ""
    for line, raw in lines:
        text, problem = _decoded(raw)
        if not problem and not text.strip():
            continue
        delimiter = delimiter or max(_DELIMITERS, key=text.count)
        row = [] if problem else [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter))]
        head = [cell.lower() for cell in row]
        if line == 1 and _NUMBER in head and _NAME in head:
            numbers, name = [index for index, cell in enumerate(head) if cell == _NUMBER], head.index(_NAME)
        elif problem or len(row) <= name:
            yield Entry(line, problem=problem or "expected a number and a name")
        else:
            given = [row[index] for index in numbers if index < len(row) and row[index]] or [""]
            yield from (Entry(line, number, row[name]) for number in given)


def _unfolded(lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, str, str]]:
    """The content lines of a vCard file: number of the first line, text, problem (RFC 6350, 3.2)."""
    start, parts = 0, b""
    for line, raw in lines:
        soft = parts.endswith(b"=") and b"QUOTED-PRINTABLE" in parts.upper()
        if parts and (soft or raw[:1] in {b" ", b"\t"}):
            more = raw if soft else raw[1:]
            parts = ((parts[:-1] if soft else parts) + more)[: LONGEST_LINE + 1]
            continue
        if parts.strip():
            yield start, *_decoded(parts)
        start, parts = line, raw
    if parts.strip():
        yield start, *_decoded(parts)


def _decoded(raw: bytes) -> tuple[str, str]:
    """A line as text, and what is wrong with it."""
    if len(raw) > LONGEST_LINE:
        return "", "too long"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "", "not UTF-8"
    return ("", "a NUL character") if "\0" in text else (text, "")


@dataclass(slots=True)
class _Card:
    """A card while it is read: its names by their rank, and its numbers with their lines."""

    line: int
    names: dict[str, str] = field(default_factory=dict)
    numbers: list[tuple[int, str]] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        name = next((self.names[each] for each in ("FN", "N", "ORG") if self.names.get(each)), "")
        return (Entry(line, number, name) for line, number in self.numbers)


def _of_cards(lines: Iterable[tuple[int, str, str]]) -> Iterator[Entry]:
    card: _Card | None = None
    for line, text, wrong in lines:
        kind, value, problem = ("", "", wrong) if wrong else _content(text)
        if kind == "BEGIN":
            if card is not None:
                yield Entry(card.line, problem="this card has no END:VCARD")
            card = _Card(line)
        elif card is None or (problem and problem != "too long"):
            yield Entry(line, problem=problem or "outside of a card")
        elif kind == "END":
            yield from card.entries()
            card = None
        elif kind == "TEL":
            card.numbers.append((line, value))
        elif kind:
            card.names.setdefault(kind, value)
    if card is not None:
        yield Entry(card.line, problem="this card has no END:VCARD")


def _content(text: str) -> tuple[str, str, str]:
    """Name, value and problem of a content line. The name is empty if nobody needs the line."""
    head, colon, value = _outside_quotes(text)
    name, *parameters = head.upper().split(";")
    kind = name.rpartition(".")[2].strip()
    if not colon:
        return "", "", "expected NAME:value"
    if kind not in {"BEGIN", "END", "TEL", "FN", "N", "ORG"}:
        return "", "", ""
    if any("QUOTED-PRINTABLE" in parameter for parameter in parameters):
        decoded, problem = _decoded(quopri.decodestring(value.encode()))
        return ("", "", problem) if problem else (kind, _plain(kind, decoded), "")
    return kind, _plain(kind, value), ""


def _outside_quotes(text: str) -> tuple[str, str, str]:
    """Divide at the first colon that is not in quotes."""
    quoted = False
    for index, each in enumerate(text):
        if each == '"':
            quoted = not quoted
        elif each == ":" and not quoted:
            return text[:index], ":", text[index + 1 :]
    return text, "", ""


def _plain(kind: str, value: str) -> str:
    """A value without escapes and structure: "Doe;Jane" is Jane Doe, a tel: address its number."""
    if kind == "TEL":
        return re.sub(r"(?i)^\s*tel:", "", value).partition(";")[0]
    parts = [re.sub(r"\\(.)", _unescaped, part) for part in re.split(r"(?<!\\);", value)]
    if kind == "N":
        return " ".join(part.strip() for part in (*parts[1:2], *parts[:1]) if part.strip())
    return parts[0] if kind == "ORG" else re.sub(r"\\(.)", _unescaped, value)


def _unescaped(escape: re.Match[str]) -> str:
    return " " if escape[1] in "nN" else escape[1]
