"""Read a YAML file into plain values with their lines. Never quotes values from the file.

A subset of YAML, built from the parser's events: no anchors, aliases and tags; dates, merge keys and octal
numbers are text. So YAML cannot turn a password into something else, and only PyYAML's own errors are raised.
Their messages quote the file, so sentences replace them.
"""

import os
import re
import select
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

LONGEST_FILE = 1_048_576
DEEPEST = 20
PIPE_S = 5.0
Place = tuple[str | int, ...]
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **{word: True for each in ("true", "yes", "on") for word in (each, each.title(), each.upper())},
    **{word: False for each in ("false", "no", "off") for word in (each, each.title(), each.upper())},
}
_WHOLE = re.compile(r"[-+]?(0|[1-9](_?[0-9]){0,17})")
_DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]{0,17})(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][-+]?[0-9]{1,2})?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_CUT = re.compile(r"[ \t]+#[^\s#]")
_TAGS = "a value that begins with &, * or ! must be quoted"
_SPECIAL = "a value that begins with @, %, ` or | must be quoted"
_REASONS = (
    ("while scanning an alias", "", _TAGS),
    ("while scanning an anchor", "", _TAGS),
    ("while scanning a tag", "", _TAGS),
    ("", "found undefined tag handle", _TAGS),
    ("while parsing a tag", "", _TAGS),
    ("", "found unknown escape character", "a backslash in double quotes: use single quotes"),
    ("while scanning a double-quoted scalar", "", "a backslash in double quotes: use single quotes"),
    ("while scanning a quoted scalar", "", "unterminated quotes"),
    ("while scanning a block scalar", "", "a value that begins with | or > must be quoted"),
    ("while scanning a directive", "", "a line must not begin with %: quote the value"),
    (
        "",
        "mapping values",
        "': ' inside a value, or wrong indentation: quote the value, or align the keys",
    ),
    (
        "while scanning a simple key",
        "",
        "a line without ': ' after its key: write 'key: value', and quote long values",
    ),
    (
        "",
        "sequence entries",
        "a value that begins with '- ' must be quoted; a list must begin on its own line",
    ),
    ("while parsing a flow", "", "unclosed [ or {: close it, or quote the value"),
    (
        "",
        "expected <block end>, but found '<scalar>'",
        "text after a quoted value: quote the whole value",
    ),
    ("", "expected <block end>", "wrong indentation: the keys of a section must begin in the same column"),
    ("", "expected a single document", "only one document is allowed: remove the second '---'"),
)
"""Start of PyYAML's context, part of its problem, and the sentence; the first match counts."""


class UnreadableError(ValueError):
    """The file cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a file: its place and a sentence."""

    line: int
    place: Place
    sentence: str


class YamlError(ValueError):
    """The text is not YAML, or uses more of it than the subset."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


@dataclass(slots=True)
class Document:
    """The values of a file, the line of each key and item, and passwords that a comment may have cut."""

    values: Mapping[str, object] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    cut: list[Place] = field(default_factory=list)


def read_text(path: Path) -> str:
    """The text of a file or a pipe. Raises UnreadableError."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", 0) as file:
            wait = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
            content = b"".join(_chunks(file.fileno(), wait=wait))
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror}") from error
    if len(content) > LONGEST_FILE:
        raise UnreadableError("is larger than 1 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8") from None


def parse(text: str) -> Document:
    """The values of a YAML text. Raises YamlError."""
    builder = _Builder(text)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            builder.add(event)
    except yaml.YAMLError as error:
        raise YamlError(builder.explained(error)) from None
    if builder.twice:
        raise YamlError(*builder.twice)
    if not isinstance(builder.value, dict):
        raise YamlError(Problem(1, (), "expected keys like 'mqtt:' and 'pbxs:'"))
    builder.document.values = builder.value
    return builder.document


def _chunks(file: int, *, wait: bool) -> Iterator[bytes]:
    """The content, at most one byte beyond the limit; a pipe has some seconds to deliver it."""
    left, until_s = LONGEST_FILE + 1, time.monotonic() + PIPE_S
    waiting = select.poll()  # select cannot take a descriptor above 1,023, as a process with many links has
    waiting.register(file, select.POLLIN)
    while left > 0:
        if wait and not waiting.poll(max(0.0, until_s - time.monotonic()) * 1000):
            raise OSError(0, f"the pipe was not closed within {PIPE_S:g} s")
        chunk = os.read(file, left)
        if not chunk:
            return
        left -= len(chunk)
        yield chunk


@dataclass(slots=True)
class _Open:
    """A list or mapping under construction. `key`: the key that waits for its value."""

    place: Place
    line: int
    flow: bool
    values: dict[str, object] | list[object]
    key: str | None = None

    @property
    def inner(self) -> Place:
        """The place of the next value."""
        return (*self.place, len(self.values) if self.key is None else self.key)


class _Builder:
    """Builds values from events. Not recursive, so DEEPEST bounds the depth and not Python's stack."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[_Open] = []
        self._documents = 0
        self.document = Document()
        self.twice: list[Problem] = []
        self.value: object = None

    def add(self, event: yaml.Event) -> None:
        """Take the next event. Raises YamlError for YAML outside of the subset."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise self._error(event, "only one document is allowed: remove the second '---'")
            case yaml.AliasEvent():
                raise self._error(event, _TAGS)
            case yaml.ScalarEvent() | yaml.CollectionStartEvent():
                if event.anchor is not None or event.tag is not None:
                    raise self._error(event, _TAGS)
                if isinstance(event, yaml.ScalarEvent) and _SURROGATE.search(event.value):
                    raise self._error(
                        event, "half of a surrogate pair: write the character itself, not \\ud..."
                    )
                self._node(event)
            case yaml.CollectionEndEvent():
                done = self._open.pop()
                self._put(done.values)

    def explained(self, error: yaml.YAMLError) -> Problem:
        """The problem behind an error of PyYAML, in our words."""
        if not isinstance(error, yaml.MarkedYAMLError):
            line = self._text.count("\n", 0, getattr(error, "position", 0)) + 1
            return Problem(line, (), "not YAML: a control character")
        context, problem = error.context or "", error.problem or ""
        mark = error.problem_mark
        if context.startswith(("while scanning a quoted", "while scanning a simple key")):
            mark = error.context_mark
        line, index = (mark.line, mark.index) if mark else (0, 0)
        flow = [each.line for each in self._open if each.flow]
        if flow and context.startswith("while parsing a flow"):
            line = flow[-1]
        if problem.endswith("that cannot start any token"):
            tab = self._text[index : index + 1] == "\t"
            sentence = "tab found: indent with spaces" if tab else _SPECIAL
        else:
            fits = (each for each in _REASONS if context.startswith(each[0]) and each[1] in problem)
            sentence = next(fits, ("", "", "quote values that contain special characters"))[2]
        return Problem(line + 1, (), f"not YAML: {sentence}")

    def _node(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        parent = self._open[-1] if self._open else None
        is_key = parent is not None and isinstance(parent.values, dict) and parent.key is None
        if is_key:
            self._key(event)
            return
        place = parent.inner if parent else ()
        self.document.lines.setdefault(place, _line(event) + 1)
        if isinstance(event, yaml.ScalarEvent):
            if place[-1:] == ("password",) and _CUT.match(self._text, _end(event)):
                self.document.cut.append(place)
            self._put(event.value if event.style else _resolved(event.value))
            return
        if len(self._open) >= DEEPEST:
            raise self._error(event, "nested too deeply")
        values: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._open.append(_Open(place, _line(event), bool(event.flow_style), values))

    def _key(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        parent = self._open[-1]
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event, "a key must be a word: quote values that contain brackets")
        parent.key = event.value
        line = _line(event) + 1
        if event.value in parent.values:
            self.twice.append(Problem(line, parent.inner, "given twice"))
        self.document.lines[parent.inner] = line

    def _put(self, value: object) -> None:
        if not self._open:
            self.value = value
            return
        parent = self._open[-1]
        if isinstance(parent.values, list):
            parent.values.append(value)
        elif parent.key is not None:
            parent.values[parent.key] = value
            parent.key = None

    def _error(self, event: yaml.Event, sentence: str) -> YamlError:
        return YamlError(Problem(_line(event) + 1, (), sentence))


def _line(event: yaml.Event) -> int:
    return event.start_mark.line if event.start_mark else 0


def _end(event: yaml.Event) -> int:
    return event.end_mark.index if event.end_mark else 0


def _resolved(text: str) -> object:
    """The value of a plain scalar: a word of YAML, a decimal number, otherwise the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
