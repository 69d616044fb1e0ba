"""The table of brokers in README is the matrix that the tests try."""

from pathlib import Path

from tests.brokers import matrix
from tests.brokers.promises import PROMISES

README = Path(__file__).parents[2] / "README.md"


def test_readme_has_the_matrix() -> None:
    """Word for word; `python -c "from tests.brokers.matrix import readme; print(readme())"` prints it."""
    assert matrix.readme() in README.read_text(encoding="utf-8")


def test_readme_explains_every_promise() -> None:
    """Each name in the table has its sentence."""
    text = README.read_text(encoding="utf-8")
    assert [promise for promise in PROMISES if f"- *{promise}*: " not in text] == []


def test_every_cell_is_about_a_promise() -> None:
    """A misspelt promise would hold for ever."""
    known = {*PROMISES, *(f"{promise} {protocol}" for promise in PROMISES for protocol in ("5", "3.1.1"))}
    assert {name for row in matrix.ROWS for name in row.cells} <= known
