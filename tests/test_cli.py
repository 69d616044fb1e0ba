"""The command line: mistakes are one line and exit code 78, so that no service manager tries again."""

import fcntl
import os
import pty
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from bridge import __version__
from tests.bus import eventually, free_port
from tests.running import Program, configuration

NOBODY = 65534
GOOD = (
    "pbxs:\n- name: hq\n  url: https://pbx.example\n  username: u\n  session_user: API\n  password: geheim\n"
    "  tls: {verify: false}\n"
)


def program(
    arguments: Sequence[str | Path], *, user: int | None = None, files: Sequence[int] = ()
) -> tuple[int, str, str]:
    """Run the command line; exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user,
        pass_fds=files,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def reachable() -> None:
    """Leave the test out where another user may not run our Python: in root's home, for instance."""
    closed = [str(each) for each in Path(sys.executable).parents if not each.stat().st_mode & stat.S_IXOTH]
    if closed:
        pytest.skip(f"another user may not enter {', '.join(closed)}: put the project somewhere else")


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["version"]])
def test_the_version(words: list[str]) -> None:
    """What everybody types first works."""
    assert program(words) == (0, f"innovaphone-mqtt {__version__}\n", "")


def test_without_a_word_the_help_is_shown() -> None:
    """It is no mistake."""
    code, output, errors = program([])

    assert (code, errors) == (0, "")
    assert "--version" in output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--nope"], "No such option: --nope"),
        (["nope"], "No such command 'nope'"),
        (["run", "--nope"], "No such option: --nope"),
        (["run", "-c"], "Option '-c' requires an argument"),
        (["run", "more"], "Got unexpected extra argument"),
        (["check", "--connect=x"], "--connect"),
        (["simulate", "--port", "70000"], "Invalid value for '--port'"),
        (["simulate", "--port", "x"], "Invalid value for '--port'"),
        (["demo", "--for", "x"], "Invalid value for '--for'"),
        (["contract", "--format", "x"], "Invalid value for '--format': 'x' is not one of 'asyncapi'"),
    ],
)
def test_a_mistake_in_the_command_line(words: list[str], said: str) -> None:
    """One line that names it, and never the code 2, which `status` means as down."""
    code, output, errors = program(words)

    assert (code, output, errors.count("\n")) == (78, "", 1)
    assert said in errors
    assert errors.endswith("(see --help)\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--pbx", "a", "--shard", "0/1"], "--pbx and --shard exclude each other"),
        (["run", "--shard", "x"], "--shard 'x': expected I/N, like 0/3, or auto/3"),
        (["run", "--pbx", "branch"], "no PBX is named 'branch'; configured: hq"),
        (["demo", "--listen", "x:99999"], "demo: --listen: the port must be 0 to 65535"),
        (["simulate", "--host", "x..y"], "x..y: "),
        (["simulate", "--scene", "nothing.yaml"], "nothing.yaml: "),
        (["simulate", "--scene", "/dev/null/x"], "/dev/null/x: "),
    ],
)
def test_an_option_that_cannot_be_carried_out(tmp_path: Path, words: list[str], said: str) -> None:
    """The same code and no trace."""
    file = tmp_path / "b.yaml"
    file.write_text(GOOD)
    code, output, errors = program([*words, "-c", file] if words[0] == "run" else words)

    assert (code, output) == (78, "")
    assert said in errors
    assert errors.endswith("1 problem; nothing was started.\n")
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_configuration_that_may_not_be_read(command: str) -> None:
    """The reason and the user: a service has one of its own."""
    user = NOBODY if os.geteuid() == 0 else None
    if user:
        reachable()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "b.yaml"
        file.write_text(GOOD)
        file.chmod(0o600 if user else 0)
        code, _, errors = program([command, "-c", file], user=user)

    name = pwd.getpwuid(os.geteuid() if user is None else user).pw_name
    problem = f"{file}: cannot be read: Permission denied (running as user {name})"
    assert (code, errors) == (78, f"{problem}\n1 problem; nothing was started.\n")


def test_a_user_without_a_name() -> None:
    """A container's user often has none."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    reachable()
    with tempfile.TemporaryDirectory() as folder:
        code, _, errors = program(["run", "-c", Path(folder) / "b.yaml"], user=65532)

    assert (code, "Permission denied (running as user 65532)" in errors) == (78, True)


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    """Folders, missing files, endless devices, pipes that nobody writes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for name, reason in (
        (tmp_path, "cannot be read: Is a directory"),
        (tmp_path / "none", "cannot be read: No such file or directory"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
        (Path("/dev/zero"), "is larger than 1 MiB"),
    ):
        code, _, errors = program(["run", "-c", name])
        assert (code, errors) == (78, f"{name}: {reason}\n1 problem; nothing was started.\n")
    code, _, errors = program(["run", "-c", pipe])
    assert (code, errors.startswith(f"{pipe}: cannot be read: the pipe was not closed")) == (78, True)


def test_a_configuration_from_another_program() -> None:
    """`check -c <(sops -d config.yaml)`: a pipe that somebody writes. What is doubtful is a `warn`."""
    reader, writer = os.pipe()
    os.write(writer, GOOD.encode())
    os.close(writer)
    name = f"/dev/fd/{reader}"
    code, output, errors = program(["check", "-c", name], files=(reader,))
    os.close(reader)

    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        f"warn  {name}:7: pbxs[0].tls.verify: false: the peer is not authenticated; set ca_file or sha256",
        f"{name}: valid, 1 PBX",
    ]


def test_a_phonebook_that_is_not_there(tmp_path: Path) -> None:
    """It may come later: a `warn`, and the configuration is valid."""
    file = tmp_path / "b.yaml"
    file.write_text(f"{GOOD}phonebook: {{file: names.csv}}\n")
    code, output, _ = program(["check", "-c", file])

    assert code == 0
    assert f"warn  phonebook.file: {tmp_path}/names.csv: No such file" in output


async def test_what_is_doubtful_is_in_the_log_of_a_run(tmp_path: Path) -> None:
    """At the start, and again when the configuration is read again."""
    section = {
        "name": "hq",
        "url": "https://127.0.0.1:9",
        "username": "u",
        "password": "p",
        "session_user": "A",
    }
    bridge = Program(tmp_path, configuration(free_port(), {**section, "tls": {"verify": False}}))
    doubt = "pbxs[0].tls.verify: false: the peer is not authenticated"
    process = await bridge.start()
    await eventually(lambda: "bridge started" in bridge.log, "it runs")
    assert bridge.log.count(doubt) == 1
    process.send_signal(signal.SIGHUP)
    await eventually(lambda: "configuration reloaded" in bridge.log, "it has read the file again")
    code, log = await bridge.end(signal.SIGTERM)

    assert (code, log.count(doubt), log.count("configuration read")) == (0, 2, 2)


def test_nobody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    """At a terminal too: a service has nobody to ask, and at SIGHUP all links would wait for the answer."""
    cert = trustme.CA().issue_cert("bridge.example")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"geheim"),
    )
    (tmp_path / "client.key").write_bytes(sealed)
    (tmp_path / "client.key").chmod(0o600)
    file = tmp_path / "b.yaml"
    tls = "{cert_file: client.pem, key_file: client.key}"
    file.write_text(GOOD + f"mqtt: {{url: mqtts://127.0.0.1, tls: {tls}}}\n")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "run", "-c", str(file)],
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    os.close(ours)

    assert done.returncode == 78
    assert "mqtt.tls: cert_file and key_file cannot be used" in done.stderr
    assert "(a key with a passphrase cannot be used)" in done.stderr
