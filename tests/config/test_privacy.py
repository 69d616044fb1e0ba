"""The section `privacy`: what it takes, what it refuses, and what becomes of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bridge.config.file import NO_KEY, _warnings, load, masked
from bridge.config.privacy import PrivacySection
from bridge.config.schema import Config
from bridge.config.types import FileSecret
from bridge.config.yaml import Document
from bridge.core.model import RemoteParty
from bridge.core.presentation import TopicClass
from bridge.core.privacy import OPEN
from bridge.errors import ConfigError
from bridge.fleet import made_from

PBX = {"name": "hq", "url": "https://p", "username": "u", "password": "p", "session_user": "s"}
KEY = "0123456789abcdef"
ACME = RemoteParty("+497031123456", "ACME")


def loaded(
    folder: Path, privacy: str, key: str = KEY, warn: Callable[[str], None] = lambda _: None
) -> Config:
    """A file with this section."""
    (folder / "key").write_text(f"{key}\n")
    (folder / "key").chmod(0o600)
    file = folder / "b.yaml"
    file.write_text(f"{yaml.safe_dump({'pbxs': [PBX]})}privacy: {privacy}\n")
    return load(file, warn)


def test_nothing_is_hidden_without_it(tmp_path: Path) -> None:
    """And nothing is that the file calls full."""
    assert loaded(tmp_path, "{}").privacy.to_privacy() == OPEN
    assert not loaded(tmp_path, "{rules: [{numbers: full}]}").privacy.to_privacy().hides


def test_rules_come_in_their_order(tmp_path: Path) -> None:
    """`off` without quotes is a word too; a pattern is in normal form."""
    text = '{numbers: off, rules: [{number: "+49 7031*", topics: [state, event], numbers: masked}]}'
    privacy = loaded(tmp_path, text).privacy.to_privacy()

    assert [privacy.show(ACME, each).number for each in TopicClass] == ["xxx456", "xxx456", "", ""]


def test_pseudonyms_depend_on_the_key_alone(tmp_path: Path) -> None:
    """Nothing of it is shown; another key makes other ones, and a new link."""
    text = "{numbers: hashed, key_file: key}"
    first, again, other = (loaded(tmp_path, text, key) for key in (KEY, KEY, KEY + "x"))
    names = [
        config.privacy.to_privacy().show(ACME, TopicClass.STATE).number for config in (first, again, other)
    ]

    assert names[0] == names[1] != names[2]
    assert KEY not in masked(first) + repr(first) + repr(first.privacy.to_privacy())
    assert made_from(first, first.pbxs[0]) == made_from(again, again.pbxs[0])
    assert made_from(first, first.pbxs[0]) != made_from(other, other.pbxs[0])


def test_a_key_that_others_read_and_we_cannot_close_is_doubtful() -> None:
    """As a container mounts it."""
    section = PrivacySection.model_construct(key_file=FileSecret(KEY, "is readable by everybody"))
    config = Config.model_validate({"pbxs": [PBX]}).model_copy(update={"privacy": section})

    assert [problem.sentence for problem in _warnings(config, Document())] == ["is readable by everybody"]


@pytest.mark.parametrize(
    ("privacy", "keeps", "warned"),
    [
        ("{numbers: masked}", True, True),
        ('{rules: [{number: "0171*", numbers: off}]}', True, True),
        ("{numbers: masked, key_file: key}", True, False),
        ("{numbers: masked}", False, False),
        ("{}", True, False),
    ],
)
def test_a_state_directory_needs_a_key(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    privacy: str,
    keeps: bool,  # noqa: FBT001  (a case)
    warned: bool,  # noqa: FBT001  (a case)
) -> None:
    """Hashes of requests are kept there; systemd may have given it."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path) if keeps else "")
    warnings: list[str] = []
    loaded(tmp_path, privacy, warn=warnings.append)

    assert [each.partition(": ")[2] for each in warnings] == [f"privacy.key_file: {NO_KEY}"] * warned


@pytest.mark.parametrize(
    ("privacy", "key", "problem"),
    [
        ("{numbers: hashed}", KEY, "privacy.key_file: hashed needs a secret key"),
        ("{rules: [{numbers: hashed}]}", KEY, "privacy.key_file: hashed needs a secret key"),
        ("{numbers: hashed, key_file: key}", "short", "privacy.key_file: the key must have at least 16"),
        ("{key_file: none}", KEY, "privacy.key_file: no such file"),
        (
            "{numbers: mask}",
            KEY,
            "privacy.numbers: expected 'full', 'masked', 'hashed' or 'off' (did you mean",
        ),
        ("{rules: [{number: 12x, numbers: off}]}", KEY, "privacy.rules[0].number: expected digits"),
        ("{rules: [{topics: [info], numbers: off}]}", KEY, "privacy.rules[0].topics[0]: expected"),
        ("{rules: [{internal: true}]}", KEY, "privacy.rules[0].numbers: required"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, privacy: str, key: str, problem: str) -> None:
    """By line and key; nothing of the key is quoted."""
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, privacy, key)

    (line,) = refusal.value.problems
    assert line.partition(": ")[2].startswith(problem), line
    assert "short" not in line
