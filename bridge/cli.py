"""The command line. Exceptions become exit codes here, nowhere else."""

import asyncio
import gc
import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Literal, TextIO

import structlog
import typer

from bridge import __version__, app
from bridge.check import FAIL, doubts
from bridge.check import check as check_connections
from bridge.config.file import load, masked
from bridge.config.schema import Config, Pbx
from bridge.core.shard import parse_shard
from bridge.errors import ConfigError
from bridge.link.state_files import check_folder
from bridge.net.addresses import listening
from bridge.net.executor import run as run_loop
from bridge.ops import log
from bridge.shell.commands import command_app
from bridge.watch.command import watch_command

EXIT_CONFIG, EXIT_BUG, EXIT_FAILED = 78, 70, 1
DEFAULT_FILE = Path("/etc/innovaphone-mqtt/config.yaml")
WEB = "http://127.0.0.1:9642"
GARBAGE = 2_000, 10, 100
"""When Python looks for cycles: young objects every 3 ms of work, all of them hardly ever. With its own
thresholds, looking through all users stopped the event loop for 100 ms, several times while a list came in.
"""

cli = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", readable=False, metavar="FILE", help="Configuration file.")
]


def _print_version(wanted: bool) -> None:  # noqa: FBT001  (a callback of typer)
    if wanted:
        say(f"innovaphone-mqtt {__version__}")
        raise typer.Exit


@cli.callback()
def main_options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Connect innovaphone PBXs to an MQTT broker."""


@cli.command()
def run(
    config_file: ConfigFile = DEFAULT_FILE,
    pbx: Annotated[str, typer.Option(help="Serve only this PBX.")] = "",
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N", help="Serve share I (from 0) of N; auto/N takes I from the end of the host name."
        ),
    ] = "",
) -> None:
    """Run the bridge until SIGTERM or SIGINT; SIGHUP reloads the configuration."""

    def read() -> tuple[Config, list[Pbx]]:
        warnings: list[str] = []
        config = load(config_file, warnings.append)
        check_folder(config.state_dir)
        pbxs = _share(config, shard) if shard else [one for one in config.pbxs if pbx in {"", one.name}]
        if not pbxs and pbx:
            names = ", ".join(one.name for one in config.pbxs)
            raise ConfigError((f"{config_file}: no PBX is named '{pbx}'; configured: {names}",))
        log.configure(config.log.level, config.log.format)
        structlog.get_logger().info("configuration read", file=str(config_file), pages=config.http.listen)
        for warning in warnings:
            structlog.get_logger().warning("configuration", problem=warning)
        return config, pbxs

    if pbx and shard:
        raise ConfigError(("--pbx and --shard exclude each other",))
    started = read()
    gc.freeze()  # modules live to the end; without this the exit spends most of a second looking for garbage
    gc.set_threshold(*GARBAGE)
    _take_all_files()
    run_loop(app.run(*started, reload=read))


def _take_all_files() -> None:
    """Open as many files as we may: shells and some containers begin with 1,024, for 300 PBXs."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@cli.command()
def check(
    config_file: ConfigFile = DEFAULT_FILE,
    *,
    connect: Annotated[bool, typer.Option(help="Also log in to every PBX and the broker.")] = False,
    show: Annotated[bool, typer.Option(help="Print the effective configuration, without secrets.")] = False,
) -> None:
    """Validate a configuration; with --connect also log in to every PBX and the broker."""
    warnings: list[str] = []
    config = load(config_file, warnings.append)
    if os.geteuid():  # root would see the directory of the bridge's user as somebody else's
        check_folder(config.state_dir)
    if show:
        say(masked(config))
    for warning in (*warnings, *doubts(config)):
        say(f"warn  {warning}")
    say(f"{config_file}: valid, {len(config.pbxs)} PBX{'' if len(config.pbxs) == 1 else 's'}")
    if connect:
        _check_connections(config)


@cli.command()
def status(
    url: Annotated[str, typer.Option(help="Address of the bridge's pages (http.listen).")] = WEB,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the state of a running bridge. Exit code 0: healthy, 1: degraded, 2: down or unreachable."""
    from rich.console import Console  # noqa: PLC0415  (only for those who ask)

    from bridge.ops import status as asked  # noqa: PLC0415  (same)

    try:
        facts = asked.fetch(url)
    except asked.NoStatusError as error:
        say(json.dumps({"level": "down", "reason": str(error)}) if as_json else str(error))
        raise typer.Exit(asked.EXIT_CODES["down"]) from None
    if as_json:
        say(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        with printing():
            asked.show(facts, Console())
    raise typer.Exit(asked.exit_code(facts))


@cli.command()
def simulate(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    scene: Annotated[
        Path | None, typer.Option(readable=False, help="Play this scene (YAML) instead of the office.")
    ] = None,
    dynamic_pbx: Annotated[str, typer.Option(help="Answer as this dynamic PBX.")] = "",
    fleet: Annotated[
        int, typer.Option(min=0, max=9999, help="Answer as so many dynamic PBXs: 0001, 0002, ...")
    ] = 0,
) -> None:
    """Run a simulated PBX with a small office: user admin, password secret, session user API."""
    from bridge.sim import serve  # noqa: PLC0415  (only for those who simulate)
    from bridge.sim.scenario import ScenarioError, office, read  # noqa: PLC0415  (same)

    try:
        played = office() if scene is None else read(scene.read_text(encoding="utf-8"))
        names = serve.fleet(fleet) or (dynamic_pbx,)
        asyncio.run(serve.serve(host, port, played, names, say))
    except UnicodeError:
        raise ConfigError(
            (f"{scene}: not a UTF-8 text file" if scene else f"{host}: not a host name",)
        ) from None
    except (ScenarioError, OSError) as error:
        raise ConfigError((f"{scene or 'simulate'}: {error}",)) from None


@cli.command()
def demo(
    for_s: Annotated[
        float, typer.Option("--for", help="Stop after this many seconds; 0 runs until Ctrl-C.")
    ] = 0,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Serve metrics and pages at this address.")
    ] = "off",
) -> None:
    """Run a simulated PBX, a broker and the bridge, and describe what happens."""
    from bridge.demo.broker import NoBrokerError  # noqa: PLC0415  (only for those who want the demo)
    from bridge.demo.show import demo as show  # noqa: PLC0415  (same)

    try:
        if listen != "off":
            listening(listen)
    except ValueError as error:
        raise ConfigError((f"demo: --listen: {error}",)) from None
    try:
        code = asyncio.run(show(for_s, listen, say))
    except NoBrokerError as error:
        raise ConfigError((f"demo: {error}",)) from None
    raise typer.Exit(code)


@cli.command()
def contract(
    form: Annotated[
        Literal["asyncapi", "jsonschema", "markdown"], typer.Option("--format", help="What to print.")
    ] = "asyncapi",
) -> None:
    """Print the topics, payloads and commands for programs (AsyncAPI 3, JSON Schema) or people."""
    from bridge.contract.forms import text  # noqa: PLC0415  (only for those who ask)

    say(text(form))


@cli.command()
def version() -> None:
    """Print the version."""
    _print_version(True)  # noqa: FBT003  (a callback of typer)


def main() -> None:
    """Run the command. Errors that a person can fix end in one line each, never in a traceback.

    A mistake on the command line has the exit code of a configuration error: restarting does not help, so
    service managers must not try; and 2, the usual code, means "down" for `status`.
    """
    log.keep_standard_descriptors()
    log.configure("info", "auto")
    try:
        sys.exit(cli(sys.argv[1:] or ["--help"], standalone_mode=False))
    except typer.TyperException as error:
        sentence = error.format_message().replace("Value error, ", "", 1)
        complain(f"{sentence.rstrip('.')} (see --help)")
        sys.exit(EXIT_CONFIG)
    except ConfigError as error:
        count = len(error.problems)
        complain(*error.problems, f"{count} problem{'' if count == 1 else 's'}; nothing was started.")
        sys.exit(EXIT_CONFIG)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception:  # noqa: BLE001  (the last line of defence: a bug ends the process with a traceback)
        structlog.get_logger().exception("bug")
        sys.exit(EXIT_BUG)


def say(text: str) -> None:
    """Print a line. A closed pipe or a full disk ends the command with exit code 1."""
    with printing():
        typer.echo(text)


def complain(*lines: str) -> None:
    """Print lines to stderr. If stderr cannot be written, only the exit code reports the problem."""
    try:
        for line in lines:
            typer.echo(line, err=True)
    except OSError:
        _silence(sys.stderr)


@contextmanager
def printing() -> Iterator[None]:
    """Exit with code 1 if the output cannot be written."""
    try:
        yield
    except OSError:
        _silence(sys.stdout)
        raise typer.Exit(EXIT_FAILED) from None


def _silence(stream: TextIO) -> None:
    """Send the rest to /dev/null: Python flushes at exit, would fail again and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _share(config: Config, shard: str) -> list[Pbx]:
    """The PBXs of one shard, possibly none."""
    try:
        mine = parse_shard(shard, socket.gethostname())
    except ValueError as error:
        raise ConfigError((f"--shard {error}",)) from None
    return [one for one in config.pbxs if mine.serves(one.name)]


def _check_connections(config: Config) -> None:
    results = asyncio.run(check_connections(config))
    for word, text in results:
        say(f"{word:4}  {text}")
    if any(word == FAIL for word, _ in results):
        raise typer.Exit(EXIT_FAILED)


cli.command()(watch_command(DEFAULT_FILE, say, complain))
cli.add_typer(command_app(DEFAULT_FILE, say, complain), name="command")
