"""Any text as a configuration: it is read, or every problem has a sentence; nothing else is ever raised."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.config.file import load, masked
from bridge.errors import ConfigError

FULL = (Path(__file__).parents[2] / "config" / "full.yaml").read_text()
VALUES = [
    *("!!bool x", "!!timestamp x", "!!float x", "!!int x", "!!binary ä", "!!python/name:os.system x", "!x y"),
    *("!!null x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!str x", "!!map x", "!!seq x", "! x"),
    *(
        "2026-99-99",
        "2026-01-01T99:99:99Z",
        "9" * 5000,
        "-" + "9" * 5000,
        "0x" + "f" * 5000,
        "0b" + "1" * 5000,
    ),
    *(
        "1:" * 2000 + "1",
        "1e999",
        "-1e999",
        ".inf",
        ".nan",
        "1_",
        "_1",
        "0_",
        "00",
        "1__0",
        "+",
        "-",
        "<<",
        "=",
    ),
    *(
        "[" * 5000,
        "{" * 5000,
        "[[1]]",
        "{a: {b: {c: 1}}}",
        "? x",
        "- x",
        "a: b",
        "'",
        '"',
        '"\\ud800"',
        '"\\0"',
    ),
    *(
        '"\\x',
        "&a x",
        "*a",
        "|",
        ">",
        "|9",
        "%x",
        "@x",
        "`x",
        "\t",
        "~",
        "null",
        "yes",
        "on",
        "",
        "x" * 70_000,
    ),
    *(
        "/" * 5000,
        "\0",
        "\x07",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\U0010ffff",
        "mqtt://a:b@c:d",
        "ws://[",
        "//",
    ),
    *(
        "http://[::1",
        "http://a:99999999999999999999",
        "http://\u00ad",
        "*",
        "**",
        "[*",
        "+" * 200,
        "a/+/#",
        "$x",
    ),
]


def outcome(file: Path, text: str) -> str | tuple[str, ...]:
    """What is in force, or the problems."""
    file.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        return masked(load(file))
    except ConfigError as error:
        return error.problems


def judge(file: Path, text: str) -> None:
    """Problems name the file, are one line each, and are not too many."""
    found = outcome(file, text)
    if isinstance(found, tuple):
        assert found
        assert all(problem.startswith(str(file)) and problem.isprintable() for problem in found)
        assert all(len(problem) < len(str(file)) + 400 for problem in found)


@pytest.mark.parametrize("seed", range(8))
def test_every_value_of_every_key(tmp_path: Path, seed: int) -> None:
    """Each line of the full example gets each odd value once, in a shuffled order."""
    chooser = random.Random(seed)  # noqa: S311  (a test)
    lines = FULL.splitlines()
    values = VALUES[seed::8]
    for number in chooser.sample(range(len(lines)), len(lines)):
        key, colon, _ = lines[number].partition(":")
        if colon:
            value = chooser.choice(values)
            judge(tmp_path / "b.yaml", "\n".join([*lines[:number], f"{key}: {value}", *lines[number + 1 :]]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, len(FULL)), min_size=1, max_size=4),
    junk=st.lists(
        st.sampled_from(VALUES) | st.text(max_size=6) | st.text("!&*|>%@`'\"#[]{}:,?-\n\t ", max_size=6),
        min_size=1,
        max_size=4,
    ),
)
def test_a_mutated_configuration(tmp_path: Path, cuts: list[int], junk: list[str]) -> None:
    """Pieces cut out, other pieces put in."""
    text = FULL
    for cut, piece in zip(cuts, junk, strict=False):
        text = text[:cut] + piece + text[cut + len(piece) % 7 :]
    judge(tmp_path / "b.yaml", text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200) | st.text("ab01:-!&*|>%@`'\"#[]{},?.\n\t ~<=", max_size=200))
def test_anything_at_all(tmp_path: Path, text: str) -> None:
    """No shape is expected."""
    judge(tmp_path / "b.yaml", text)
