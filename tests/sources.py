"""The files of the project, without those of packages that tests install below it. Reads none of them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALLED = {"node_modules", "__pycache__"}


def sources(pattern: str) -> list[Path]:
    """The files that a pattern names, relative to the root of the project."""
    return sorted(path for path in ROOT.glob(pattern) if path.is_file() and not INSTALLED & set(path.parts))
