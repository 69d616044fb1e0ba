"""Load a configuration file, or list every problem as `file:line: path: problem`. Quotes no secret."""

import os
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from bridge.config.commands import Commands
from bridge.config.found import wrong_overrides
from bridge.config.problems import line_of, problems, shown
from bridge.config.schema import Config, Mqtt, Pbx
from bridge.config.types import FileSecret
from bridge.config.yaml import Document, Place, Problem, UnreadableError, YamlError, parse, read_text
from bridge.errors import ConfigError

CUT = "everything after ' #' is a comment; if it belongs to the password, quote the whole value"
SETTLE_S = "renamed: write resync_grace_s and end_grace_s instead, both with this value"
NUMBERS = (
    "now also applies to to_user and name (by the callee's number), and emergency numbers must be listed"
    " digit by digit: complete it, then set commands.types: [ep]"
)

NOBODY = "only the PBXs appear in Home Assistant: add users: [{type: ep}] for all phones"
NO_KEY = "give one: without it, whoever reads state_dir can find the numbers of requests by trying all"


def load(path: Path, warn: Callable[[str], None] = lambda _: None) -> Config:
    """Read and validate a configuration file. Raises ConfigError with all problems at once.

    Settings that work but are questionable go to `warn`. If the file names no state directory, systemd's
    ($STATE_DIRECTORY) is used.
    """

    def lines(found: Iterator[Problem]) -> tuple[str, ...]:
        return tuple(_line(path, problem) for problem in found)

    document = Document()
    try:
        document = parse(read_text(path))
        config = Config.model_validate(document.values, context={"folder": path.parent})
    except UnreadableError as error:
        raise ConfigError((f"{path}: {error}{_user(error)}",)) from None
    except YamlError as error:
        raise ConfigError(lines(iter(error.problems))) from None
    except ValidationError as error:
        found = [*problems(error, document, Config), *_cut(document)]
        raise ConfigError(lines(iter(found))) from None
    wrong = [
        Problem(line_of(place, document), place, sentence) for place, sentence in wrong_overrides(config)
    ]
    if wrong:
        raise ConfigError(lines(iter(wrong)))
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if config.state_dir is None and given:
        config = config.model_copy(update={"state_dir": Path(given)})
    for warning in lines(_warnings(config, document)):
        warn(warning)
    return config


def masked(config: Config) -> str:
    """The effective configuration as YAML, with secrets masked."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _line(path: Path, problem: Problem) -> str:
    place = shown(problem.place, Config)
    return f"{path}:{problem.line}: {place}{': ' if place else ''}{problem.sentence}"


def _user(error: UnreadableError) -> str:
    """The user who lacks permission: a service runs as a user of its own."""
    if not isinstance(error.__cause__, PermissionError):
        return ""
    number = os.geteuid()
    try:
        return f" (running as user {pwd.getpwuid(number).pw_name})"
    except KeyError:
        return f" (running as user {number})"


def _cut(document: Document) -> Iterator[Problem]:
    for place in document.cut:
        yield Problem(line_of(place, document), place, CUT)


def _warnings(config: Config, document: Document) -> Iterator[Problem]:
    """Settings that work and should be changed all the same."""
    yield from _cut(document)
    yield from _dialling(config.commands, document)
    if config.homeassistant.discovery != "off" and not config.homeassistant.users:
        here: Place = ("homeassistant",)
        yield Problem(line_of(here, document), here, NOBODY)
    key: Place = ("privacy", "key_file")
    if isinstance(config.privacy.key_file, FileSecret) and config.privacy.key_file.warning:
        yield Problem(line_of(key, document), key, config.privacy.key_file.warning)
    if config.state_dir is not None and config.privacy.key_file is None and config.privacy.to_privacy().hides:
        yield Problem(line_of(key, document), key, NO_KEY)
    for index, pbx in enumerate(config.pbxs):
        if pbx.settle_s is not None:
            renamed: Place = ("pbxs", index, "settle_s")
            yield Problem(line_of(renamed, document), renamed, SETTLE_S)
    sections: list[tuple[Place, Mqtt | Pbx]] = [(("mqtt",), config.mqtt)]
    sections += ((("pbxs", index), pbx) for index, pbx in enumerate(config.pbxs))
    for place, section in sections:
        doubts = list(section.reach.doubts())
        secret = section.password_file
        if isinstance(secret, FileSecret) and secret.warning:
            doubts.insert(0, (("password_file",), secret.warning))
        for key, sentence in doubts:
            inner: Place = (*place, *key)
            yield Problem(line_of(inner, document), inner, sentence)


def _dialling(commands: Commands, document: Document) -> Iterator[Problem]:
    """The list means more than in 0.1.0. None of these keys existed then: without them it is an old file."""
    if commands.numbers.allow and not {"types", "from_numbers", "facilities"} & commands.model_fields_set:
        place: Place = ("commands", "numbers", "allow")
        yield Problem(line_of(place, document), place, NUMBERS)
