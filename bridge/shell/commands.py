"""`innovaphone-mqtt command VERB`: one subcommand for each verb, made from the table of verbs.

It checks no value beyond its type: the bridge judges the request, and its reply says what is wrong.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.build import broker_settings, broker_tls
from bridge.config.schema import Config, Mqtt
from bridge.core.commands.fields import FieldKind, Flag, Number
from bridge.core.commands.verb import Verb
from bridge.core.commands.verbs import VERBS
from bridge.core.topics import Topics
from bridge.errors import ConfigError, LinkError
from bridge.shell.broker import (
    BaseTopic,
    CaFile,
    ConfigFile,
    Options,
    PasswordFile,
    Username,
    broker_at,
    broker_in,
)
from bridge.shell.request import Asked, ask

EXIT_REFUSED, EXIT_NO_REPLY = 1, 2
HELP = (
    "Send a command to a running bridge and print its reply. "
    "Exit code 0: done, 1: refused (the reply says why), 2: no reply, 78: a mistake on the command line."
)
FIELD, USER, BARE = "field_", "user_argument", "bare_argument"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """The bridge that is asked, and by which broker."""

    mqtt: Mqtt
    pbx: str
    on_user_topic: bool
    within_s: float


def command_app(default_file: Path, say: Say, complain: Say) -> typer.Typer:
    """The command with its subcommands. `say` prints to stdout, `complain` to stderr."""
    shell = typer.Typer(help=HELP, no_args_is_help=True)
    shell.callback()(_options(default_file))
    for name, verb in VERBS.items():
        shell.command(name, help=f"{verb.about[0].upper()}{verb.about[1:]}.")(
            _subcommand(name, verb, say, complain)
        )
    return shell


def _options(default_file: Path) -> Callable[..., None]:
    """The options before the verb: which broker, which PBX."""

    def options(
        context: typer.Context,
        config_file: ConfigFile = default_file,
        url: Annotated[str, typer.Option(help="The broker; no configuration file is read then.")] = "",
        username: Username = "",
        password_file: PasswordFile = "",
        ca_file: CaFile = "",
        base_topic: BaseTopic = "",
        pbx: Annotated[str, typer.Option(help="The PBX; needed if there are several.")] = "",
        within_s: Annotated[
            float, typer.Option("--timeout", min=0.1, max=3600, help="Seconds to wait for the reply.")
        ] = 15.0,
        *,
        on_user_topic: Annotated[
            bool, typer.Option("--user-topic", help="Publish on the topic of the user, named by topic id.")
        ] = False,
    ) -> None:
        options = Options(
            username=username, password_file=password_file, ca_file=ca_file, base_topic=base_topic
        )
        if url:
            mqtt, name = broker_at(url, options), pbx
        else:
            config, mqtt = broker_in(config_file, options)
            name = _pbx_of(config, config_file, pbx)
        if not name:
            raise ConfigError(("--pbx is required",))
        context.obj = Target(mqtt, name, on_user_topic, within_s)

    return options


def _pbx_of(config: Config, path: Path, pbx: str) -> str:
    """The PBX that is meant, or the only one. Raises ConfigError.

    Which PBXs a master has found only the running bridge knows.
    """
    names = [one.name for one in config.pbxs]
    finds = any(one.locations for one in config.pbxs)
    if pbx and pbx not in names and not finds:
        raise ConfigError((f"{path}: no PBX is named '{pbx}'; configured: {', '.join(names)}",))
    if not pbx and len(names) > 1:
        raise ConfigError((f"--pbx is required: {path} has {', '.join(names)}",))
    return pbx or names[0]


def _subcommand(name: str, verb: Verb, say: Say, complain: Say) -> Callable[..., None]:
    """A function whose parameters are the fields of the verb, as typer reads them."""

    def run(context: typer.Context, **given: Any) -> None:
        target: Target = context.obj
        fields = _fields(verb, given)
        if target.on_user_topic and "user" not in fields:
            raise ConfigError(("--user-topic needs a user",))
        topics = Topics(target.mqtt.base_topic, target.pbx)
        asked = Asked(topics, name, fields, target.on_user_topic, target.mqtt.encode_dots)
        brokers = broker_settings(target.mqtt, "innovaphone-mqtt-command", broker_tls(target.mqtt))
        try:
            reply = asyncio.run(ask(brokers, asked, within_s=target.within_s))
        except LinkError as error:
            complain(error.reason)
            raise typer.Exit(EXIT_NO_REPLY) from None
        say(_printable(json.dumps(reply, indent=2, ensure_ascii=False)))
        raise typer.Exit(0 if reply["status"] == "ok" else EXIT_REFUSED)

    parameters = [
        Parameter("context", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *_parameters(verb),
    ]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _printable(text: str) -> str:
    """JSON in which what a terminal would obey, or cannot show, is escaped: it says the same."""
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def _parameters(verb: Verb) -> Iterator[Parameter]:
    """The user and the value of a bare payload by their place, and all fields but the user by name."""
    places = {USER: "user", BARE: verb.bare}
    for name, field in places.items():
        if field and field in verb.fields:
            about = verb.fields[field].about
            yield _optional(name, str, typer.Argument(metavar=field.upper(), help=about))
    for field, kind in verb.fields.items():
        if field != "user":
            yield _optional(f"{FIELD}{field}", *_option(field, kind))


def _option(field: str, kind: FieldKind) -> tuple[type, Any]:
    flag = f"--{field.replace('_', '-')}"
    if isinstance(kind, Flag):
        return bool, typer.Option(f"{flag}/--no-{flag[2:]}", help=kind.about)
    if isinstance(kind, Number):
        return int, typer.Option(flag, min=kind.least, max=kind.most, help=kind.about)
    return str, typer.Option(flag, help=kind.about)


def _optional(name: str, kind: type, how: Any) -> Parameter:
    return Parameter(
        name, Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=Annotated[kind | None, how]
    )


def _fields(verb: Verb, given: dict[str, Any]) -> dict[str, object]:
    """The fields of the request; a place and a name for the same field exclude each other."""
    fields: dict[str, object] = {
        name.removeprefix(FIELD): value
        for name, value in given.items()
        if name.startswith(FIELD) and value is not None
    }
    for name, field in ((USER, "user"), (BARE, verb.bare)):
        if given.get(name) is not None and field:
            if field in fields:
                raise ConfigError((f"{field} is given twice",))
            fields[field] = given[name]
    return fields
