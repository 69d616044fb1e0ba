"""The broker of a command that talks to a running bridge: from its options, or from a configuration file."""

from pathlib import Path
from typing import Annotated, TypedDict

import typer
from pydantic import ValidationError

from bridge.config.file import load
from bridge.config.problems import problems, shown
from bridge.config.schema import Config, Mqtt
from bridge.config.yaml import Document
from bridge.errors import ConfigError

SHARED = ("url", "base_topic", "encode_dots", "protocol", "connect_timeout_s", "insecure", "tls")
"""What another user of the same broker has in common with the bridge."""
ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", readable=False, metavar="FILE", help="Configuration file.")
]
Username = Annotated[str, typer.Option(help="Your user at the broker, if you are not to be the bridge's.")]
PasswordFile = Annotated[str, typer.Option(help="A file with the password of that user.")]
CaFile = Annotated[str, typer.Option(help="With --url: the private CA of the broker.")]
BaseTopic = Annotated[str, typer.Option(help="With --url: the base topic, if not innovaphone.")]


class Options(TypedDict):
    """Options beside --url, by their names in the configuration; "" for one that is not given."""

    username: str
    password_file: str
    ca_file: str
    base_topic: str


def broker_at(url: str, options: Options) -> Mqtt:
    """The broker of the command line, under the rules of a configuration file. Raises ConfigError."""
    _belongs({"password_file": options["password_file"]}, "username", options["username"])
    topic = {"base_topic": options["base_topic"]} if options["base_topic"] else {}
    tls = {"ca_file": options["ca_file"]} if options["ca_file"] else {}
    return _checked({"url": url, "tls": tls, **topic, **_person(options)})


def broker_in(path: Path, options: Options) -> tuple[Config, Mqtt]:
    """A configuration file and its broker, for another user if the options name one. Raises ConfigError."""
    _belongs({"password_file": options["password_file"]}, "username", options["username"])
    _belongs({"ca_file": options["ca_file"], "base_topic": options["base_topic"]}, "url", "")
    config = load(path)
    if not options["username"]:
        return config, config.mqtt
    return config, _checked({**{key: getattr(config.mqtt, key) for key in SHARED}, **_person(options)})


def _person(options: Options) -> dict[str, object]:
    return {"username": options["username"] or None, "password_file": options["password_file"] or None}


def _belongs(options: dict[str, str], other: str, given: str) -> None:
    """Refuse options that would be ignored without another one. Raises ConfigError."""
    alone = tuple(f"{_flag(name)} needs {_flag(other)}" for name, value in options.items() if value)
    if alone and not given:
        raise ConfigError(alone)


def _checked(given: dict[str, object]) -> Mqtt:
    try:
        return Mqtt.model_validate(given, context={"folder": Path.cwd()})
    except ValidationError as error:
        found = problems(error, Document(), Mqtt)
        raise ConfigError(
            tuple(f"{_flag(shown(one.place, Mqtt).removeprefix('tls.'))}: {one.sentence}" for one in found)
        ) from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
