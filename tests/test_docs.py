"""The pages in docs/ are true where a test can tell: anchors, links, paths, operations of the WSDL."""

import enum
import json
import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import pytest
from lxml import etree

from bridge.core import render
from bridge.core.commands.answer import Address, Answer
from bridge.core.commands.fields import Text
from bridge.core.commands.verbs import SETS, VERBS
from bridge.core.model import EventType, Instant, Outcome
from bridge.core.outputs import link_state
from bridge.core.outputs.output import View
from bridge.core.presentation import PLAIN, TopicClass
from bridge.core.records import CallState
from bridge.core.status import About, LinkState, Status
from bridge.core.topics import Topics
from tests.core.builders import ANNA, History, leg
from tests.sources import sources

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
READ = {".py", ".md", ".yaml", ".yml", ".toml", ".wsdl", ".service", ".tpl"}
FOLDERS = ("bridge", "tests", "docs", "config", "deploy")
TOPICS = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
WSDL = ROOT / "bridge" / "pbx" / "pbx.wsdl"
WORDS = {
    word
    for verb in VERBS.values()
    for kind in verb.fields.values()
    if isinstance(kind, Text)
    for word in kind.words
}
"""What a field may say, which tables list beside the fields."""
PART = "{http://schemas.xmlsoap.org/wsdl/}part"
MESSAGE = "{http://schemas.xmlsoap.org/wsdl/}message"


def texts() -> dict[Path, str]:
    """Every text file of the project that may cite a page."""
    inside = chain.from_iterable(sources(f"{folder}/**/*") for folder in FOLDERS)
    files = (path for path in chain(sources("*.md"), inside) if path.suffix in READ)
    return {path: path.read_text(encoding="utf-8") for path in files}


def section(title: str) -> str:
    """The text below a heading of docs/topics.md."""
    return TOPICS.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


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


def json_shape(value: object) -> object:
    """The keys of a payload, nested; lists and single values do not count."""
    return {key: json_shape(inner) for key, inner in value.items()} if isinstance(value, Mapping) else None


def test_the_payloads_of_the_page_have_the_keys_of_the_code() -> None:
    """Consumers copy them: docs/topics.md shows what the bridge sends."""
    history = History().start().see(leg(state=CallState.RINGING, cause=16))
    call = history.state.calls[ANNA][0]
    address = Address("t", "call")
    status = Status(LinkState.ONLINE, "", 0, "")
    view = View(
        topics=Topics("b", "hq"),
        version="1",
        state=history.state,
        status=status,
        about=About(),
        calls=1,
        monitored=1,
        asking=False,
        takeovers=0,
        on_standby=False,
        now=Instant(0, 0.0),
        presentation=PLAIN,
    )
    _, info = link_state.OUTPUT.tree(view)
    sent = {
        "Info": info.payload,
        "User state": {**render.user_state(history.state, "hq", ANNA, PLAIN), "calls": []},
        "Calls": render.call(call, PLAIN, TopicClass.STATE),
        "Events": {**render.event(history.events[0], "e", "hq", PLAIN), "call": None},
        "Replies": Answer(address, result={"call": "x"}).payload(0),
    }
    refusal = Answer(address, "refused").payload(0)

    shown = {title: payloads(title) for title in sent}
    assert {title: json_shape(found[0]) for title, found in shown.items()} == {
        title: json_shape(payload) for title, payload in sent.items()
    }
    assert json_shape(shown["Replies"][1]) == json_shape(refusal)


def payloads(title: str) -> list[object]:
    """The JSON blocks below a heading."""
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", section(title), re.DOTALL)]


@pytest.mark.parametrize("words", [EventType, Outcome, CallState, LinkState])
def test_every_word_of_a_payload_is_explained(words: type[enum.StrEnum]) -> None:
    """A closed list of the contract stands on the page in full."""
    assert {word.value for word in words if f"`{word.value}`" not in TOPICS} == set()


def test_the_readme_lists_the_verbs_and_the_sets() -> None:
    """Each verb in its own words and with all its fields. So does the comment of config/full.yaml."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sentences = {name: re.search(rf"`{name}` stands for ([^.;]*)[.;]", readme) for name in SETS}
    comment = re.search(r"verbs or sets; (.*)", (ROOT / "config" / "full.yaml").read_text(encoding="utf-8"))

    rows = re.findall(r"^\| `([a-z]+)` \| (.*?) \| (.*?) \|$", readme, re.MULTILINE)
    shown = {verb: (about, set(re.findall(r"`([a-z_]+)`\??", fields))) for verb, about, fields in rows}
    assert {verb: (about, fields - WORDS) for verb, (about, fields) in shown.items() if verb in VERBS} == {
        verb: (its.about, set(its.fields)) for verb, its in VERBS.items()
    }
    for name, verbs in SETS.items():
        sentence = sentences[name]
        assert sentence is not None, name
        assert set(re.findall(r"`([a-z-]+)`", sentence[1])) == set(verbs)
        assert comment is not None
        assert f"{name}: {', '.join(verbs)}" in comment[1].replace(" (never more)", "")


def test_each_verb_has_a_row_with_its_fields() -> None:
    """A verb that the page does not have is unknown to those who may use it."""
    rows = re.findall(r"^\| `(\w+)` \|(.*?)\|", section("Requests"), re.MULTILINE)
    shown = {verb: set(re.findall(r"`([a-z_]+)`", fields)) - WORDS for verb, fields in rows}

    assert shown == {verb: set(spec.fields) for verb, spec in VERBS.items()}
