"""A package index in a folder: what is installed here, and a newer release of each. Installs nothing.

The wheels carry the real names, versions and needs, but no code, except those that build the project. So
an install from it takes seconds and no network.
"""

import hashlib
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

BACKEND = "hatchling"
EXTRA = (
    "more"  # each need asks for it, as coverage[toml]: pip resolves such a need again although it is pinned
)

WHEEL = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


class Index:
    """The index; `hashes` are those of the locked releases."""

    def __init__(self, folder: Path, locked: dict[str, str]) -> None:
        self.url = (folder / "simple").as_uri()
        self.hashes: dict[str, str] = {}
        builds = _needs_of(BACKEND)
        for name, version in locked.items():
            page = folder / "simple" / name
            page.mkdir(parents=True)
            found = distribution(name)
            assert found.version == version, f"{name} {found.version} is installed, {version} is locked"
            files = _code(found) if name in builds else {}
            self.hashes[name] = _wheel(
                page, name, version, [_with_extra(one) for one in _needs(found)], files
            )
            _wheel(page, name, newer(version), [], {})
            links = "".join(f'<a href="{one.name}">{one.name}</a>\n' for one in sorted(page.glob("*.whl")))
            (page / "index.html").write_text(f"<!DOCTYPE html><html><body>\n{links}</body></html>\n")


def newer(version: str) -> str:
    """The next release after a version, as near as it can be: nothing that excludes it could be usual."""
    *first, last = Version(version).release
    return ".".join(map(str, (*first, last + 1)))


def _needs(found: Distribution) -> list[Requirement]:
    needs = [Requirement(line) for line in found.requires or []]
    return [one for one in needs if one.marker is None or one.marker.evaluate({"extra": ""})]


def _needs_of(name: str) -> set[str]:
    """A distribution and all that it needs."""
    found, ahead = set[str](), [name]
    while ahead:
        one = canonicalize_name(ahead.pop())
        if one not in found:
            found.add(one)
            ahead += [need.name for need in _needs(distribution(one))]
    return found


def _with_extra(need: Requirement) -> str:
    need.extras.add(EXTRA)
    return str(need)


def _code(found: Distribution) -> dict[str, bytes]:
    names = [one for one in found.files or [] if one.suffix != ".pyc" and ".." not in one.parts]
    return {str(one): one.read_binary() for one in names if ".dist-info" not in one.parts[0]}


def _wheel(folder: Path, name: str, version: str, needs: list[str], files: dict[str, bytes]) -> str:
    """Write a wheel; its SHA-256."""
    stem = f"{name.replace('-', '_').replace('.', '_')}-{version}"
    lines = [f"Name: {name}", f"Version: {version}", f"Provides-Extra: {EXTRA}"]
    lines += [f"Requires-Dist: {need}" for need in needs]
    inside = {
        **files,
        f"{stem}.dist-info/METADATA": "\n".join(["Metadata-Version: 2.1", *lines, ""]).encode(),
        f"{stem}.dist-info/WHEEL": WHEEL,
    }
    record = f"{stem}.dist-info/RECORD"
    inside[record] = "".join(f"{one},,\n" for one in (*inside, record)).encode()
    file = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for one, content in inside.items():
            archive.writestr(one, content)
    return hashlib.sha256(file.read_bytes()).hexdigest()
