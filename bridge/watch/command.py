"""`innovaphone-mqtt watch`: the options of the command, and what follows from them."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bridge.build import broker_settings, broker_tls
from bridge.errors import ConfigError, LinkError
from bridge.mqtt.settings import BrokerSettings
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
from bridge.watch.run import Choice, show

EXIT_NO_BROKER = 2
CLIENT_ID = "innovaphone-mqtt-watch"
Say = Callable[[str], None]


def watch_command(default_file: Path, say: Say, complain: Say) -> Callable[..., None]:
    """The command. `say` prints to stdout, `complain` to stderr."""

    def watch(
        config_file: ConfigFile = default_file,
        url: Annotated[
            list[str] | None,
            typer.Option(help="A broker, can be repeated; no configuration file is read then."),
        ] = None,
        username: Username = "",
        password_file: PasswordFile = "",
        ca_file: CaFile = "",
        base_topic: BaseTopic = "",
        pbx: Annotated[list[str] | None, typer.Option(help="Only this PBX; can be repeated.")] = None,
        user: Annotated[
            list[str] | None,
            typer.Option(help="Only users with this name or topic id, * fits anything; can be repeated."),
        ] = None,
        for_s: Annotated[
            float, typer.Option("--for", min=0, help="Stop after this many seconds; 0 runs until Ctrl-C.")
        ] = 0,
        *,
        busy: Annotated[bool, typer.Option("--busy", help="Only users who have a call.")] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print each message as one line of JSON, for pipes.")
        ] = False,
    ) -> None:
        """Watch users, calls and events of all bridges at a broker. Without a terminal: one line an event."""
        options = Options(
            username=username, password_file=password_file, ca_file=ca_file, base_topic=base_topic
        )
        mqtts = [broker_at(one, options) for one in url] if url else [broker_in(config_file, options)[1]]
        if as_json and busy:
            raise ConfigError(("--json and --busy exclude each other",))
        choice = Choice(mqtts[0].base_topic, tuple(pbx or ()), tuple(user or ()), busy=busy, as_json=as_json)
        brokers = [one for mqtt in mqtts for one in broker_settings(mqtt, CLIENT_ID, broker_tls(mqtt))]
        _show(choice, brokers, for_s, say, complain)

    return watch


def _show(choice: Choice, brokers: Sequence[BrokerSettings], for_s: float, say: Say, complain: Say) -> None:
    try:
        asyncio.run(show(choice, brokers, for_s, say, complain))
    except LinkError as error:
        complain(error.reason)
        raise typer.Exit(EXIT_NO_BROKER) from None
