"""Arguments of a SOAP operation as plain values; omitted, empty and nil are equal. Total, no I/O."""

from collections.abc import Mapping

Args = Mapping[str, object]


def text(args: Args, name: str) -> str:
    """A string; empty when it is missing or a structure."""
    value = args.get(name, "")
    return value if isinstance(value, str) else ""


def whole(args: Args, name: str) -> int:
    """A whole number; 0 if it is none, 1 for "true"."""
    word = text(args, name)
    digits = word.removeprefix("-")
    return int(word) if digits.isascii() and digits.isdigit() else int(word == "true")


def true(args: Args, name: str) -> bool:
    """A truth value."""
    return text(args, name).lower() in {"true", "1"}
