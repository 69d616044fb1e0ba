"""SECURITY.md names settings that exist. Judges no sentence of it."""

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from bridge.config.schema import Config

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`([a-z_]+(?:\[\])?(?:\.[a-z0-9_]+)+)(?::[^`]*)?`")
AT_LEAST = 12


def keys(model: type[BaseModel], start: str = "") -> Iterator[str]:
    """Every key of the configuration with its sections; `[]` behind a list of sections."""
    for name, field in model.model_fields.items():
        yield start + name
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        for inner in kinds:
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from keys(inner, f"{start}{name}{'' if inner is field.annotation else '[]'}.")


def test_each_setting_that_is_named_exists() -> None:
    """A key that was renamed would protect nobody."""
    named = set(NAMED.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    sections = {key.partition(".")[0] for key in keys(Config) if "." in key}
    settings = {each for each in named if each.partition(".")[0] in sections}
    assert len(settings) >= AT_LEAST
    assert settings <= set(keys(Config))


def test_each_file_that_is_linked_exists() -> None:
    """In both pages about security."""
    for page in ("SECURITY.md", "RELEASE.md"):
        links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
        assert all((ROOT / each).exists() for each in links), page
