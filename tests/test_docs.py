"""The pages in docs/ are true where a test can tell: anchors, links, paths, operations of the WSDL."""

import re
from itertools import chain
from pathlib import Path

import pytest
from lxml import etree

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ = {".py", ".md", ".yaml", ".yml", ".toml", ".wsdl", ".service", ".tpl"}
FOLDERS = ("bridge", "tests", "docs", "config", "deploy")
WSDL = ROOT / "bridge" / "pbx" / "pbx.wsdl"
PART = "{http://schemas.xmlsoap.org/wsdl/}part"
MESSAGE = "{http://schemas.xmlsoap.org/wsdl/}message"


def texts() -> dict[Path, str]:
    """Every text file of the project that may cite a page."""
    inside = chain.from_iterable((ROOT / folder).rglob("*") for folder in FOLDERS)
    files = (path for path in chain(ROOT.glob("*.md"), inside) if path.suffix in READ and path.is_file())
    return {path: path.read_text(encoding="utf-8") for path in files}


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub and most renderers give the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_each_cited_anchor_exists() -> None:
    """Docstrings cite headings of pages; a renamed heading must not leave them dangling."""
    known = {f"docs/{page.name}#{anchor}" for page in PAGES for anchor in anchors(page)}
    cited = {
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in texts().items()
        for name in re.findall(r"\bdocs/[\w-]+\.md#[\w-]+", text)
        if name not in known
    }

    assert cited == set()


def test_each_cited_page_exists() -> None:
    """Also where it is named without an anchor."""
    cited = set(chain.from_iterable(re.findall(r"\bdocs/[\w-]+\.md", text) for text in texts().values()))

    assert cited - {f"docs/{page.name}" for page in PAGES} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """A page links to its own headings and to files beside it."""
    broken = [
        target
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not leads_somewhere(page, target)
    ]

    assert broken == []


def leads_somewhere(page: Path, target: str) -> bool:
    """A link's file exists, and has its anchor."""
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    return file.exists() and (not anchor or anchor in anchors(file))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_named_files_exist(page: Path) -> None:
    """A path in a page is one of the project."""
    named = set(
        re.findall(r"`((?:bridge|tests|docs|config|deploy)/[\w./-]+)`", page.read_text(encoding="utf-8"))
    )

    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_each_operation_is_described() -> None:
    """docs/wire.md has every operation of the WSDL with its arguments in their order."""
    page = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    requests = {
        str(message.get("name")).removesuffix("Request"): [part.get("name") for part in message.iter(PART)]
        for message in etree.parse(WSDL).iter(MESSAGE)
        if str(message.get("name")).endswith("Request")
    }
    signatures = {f"`{name}({', '.join(map(str, parts))})" for name, parts in requests.items()}

    assert requests
    assert {signature for signature in signatures if signature not in page} == set()
