"""A SOAP request with holes for its arguments, made of one that zeep has made. Pure.

What cannot be filled in exactly as zeep would write it is left to zeep.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

Values = Mapping[str, object]
_HOLE = re.compile("\ue000([^\ue001]+)\ue001")
"""A mark of characters that no name in the WSDL has; every value of the request is replaced by one."""
_ODD = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML forbids, and the carriage return, which it does not write as it is."""


@dataclass(frozen=True, slots=True)
class Template:
    """The text of a request before its first value, and after each value. A value is named by its path."""

    start: str
    holes: tuple[tuple[str, str], ...]

    def filled(self, values: Values) -> bytes | None:
        """A request with these arguments; None if one of them is odd."""
        text = [self.start]
        for path, after in self.holes:
            value = _written(values[path])
            if value is None or _ODD.search(value):
                return None
            if "&" in value or "<" in value or ">" in value:
                value = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            text += (value, after)
        return "".join(text).encode()


def by_path(parts: Mapping[str, object]) -> Values:
    """The arguments by path; those of a structure one by one. Templates are shared by paths and types."""
    if not any(isinstance(value, dict) for value in parts.values()):
        return parts
    return dict(_flat(parts))


def template_of(envelope: etree._Element, values: Values) -> Template | None:
    """The template of a request with such arguments; None if zeep writes one of them in another way."""
    operation = envelope[-1][0]
    for path, value in values.items():
        element = operation.find(path)
        if element is None or (value != [] and (element.text or "") != _written(value)):
            return None
        if value != []:
            element.text = f"\ue000{path}\ue001"
    start, *rest = _HOLE.split(etree.tostring(envelope, xml_declaration=True, encoding="utf-8").decode())
    return Template(start, tuple(zip(rest[::2], rest[1::2], strict=True)))


def _flat(parts: Values) -> Iterator[tuple[str, object]]:
    for name, value in parts.items():
        if isinstance(value, Mapping):
            for inner, each in value.items():
                yield f"{name}/{inner}", each
        else:
            yield name, value


def _written(value: object) -> str | None:
    """A number, truth value or text; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int) else None
