"""One word per thing: the glossary in CONTRIBUTING, and no word that it has retired. Judges no style."""

import re
import tokenize
from pathlib import Path

from tests.sources import sources

ROOT = Path(__file__).parents[1]
GLOSSARY = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Glossary")[2]
ROWS = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", GLOSSARY, re.MULTILINE)[1:]
RETIRED = {name for _, _, names in ROWS for name in re.findall(r"`(\w+)`", names)}
"""Names that no Python file and no page for developers may use any more."""
PHRASES = re.compile(r"\b(?:anew|so many|of ours|put right|mended)\b", re.IGNORECASE)
"""Syntax of another language, which a native reader understands on second reading only."""
FOR_USERS = ("*.md", "deploy/**/*.md", "deploy/helm/**/*.yaml", "config/**/*.yaml")
FOR_DEVELOPERS = ("docs/**/*.md", "tests/**/*.md")
ROWS_AT_LEAST, ROWS_AT_MOST = 25, 40


def pages(*patterns: str) -> list[Path]:
    """The pages of the project; CHANGELOG keeps what earlier releases said."""
    found = {page for pattern in patterns for page in sources(pattern)} - {ROOT / "CHANGELOG.md"}
    assert found
    return sorted(found)


def lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    """Each line that has what is looked for."""
    return [
        f"{file.relative_to(ROOT)}:{number} {match[0]}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if (match := pattern.search(line))
    ]


def test_no_code_uses_a_retired_name() -> None:
    """A second word for a thing makes the reader look for a second thing."""
    used = []
    for path in [*sources("bridge/**/*.py"), *sources("tests/**/*.py")]:
        with path.open("rb") as file:
            names = [each for each in tokenize.tokenize(file.readline) if each.type == tokenize.NAME]
        used += [
            f"{path.relative_to(ROOT)}:{each.start[0]} {each[1]}" for each in names if each[1] in RETIRED
        ]

    assert used == []


def test_no_page_for_developers_uses_a_retired_name() -> None:
    """They explain the code as it is."""
    assert lines_with(re.compile(rf"\b(?:{'|'.join(RETIRED)})\b"), pages(*FOR_DEVELOPERS)) == []


def test_pages_are_plain_english() -> None:
    """As far as a list of phrases can tell."""
    assert lines_with(PHRASES, pages(*FOR_USERS, *FOR_DEVELOPERS)) == []


def test_the_glossary_fits_one_screen() -> None:
    """Some thirty words, each with a meaning, and none of them retired."""
    words = {word for words, _, _ in ROWS for word in words.split(", ")}

    assert ROWS_AT_LEAST <= len(ROWS) <= ROWS_AT_MOST
    assert not words & RETIRED
    assert RETIRED
