"""Secrets in files: as systemd, Docker, Kubernetes, editors and shells make them."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.config.secrets import read_secret

NOBODY = 65534


@pytest.mark.parametrize(
    "content",
    [
        b"geheim",
        b"geheim\n",
        b"geheim\r\n",
        b"geheim\n\n",
        b"geheim\r\n\r\n\n",
        b"\xef\xbb\xbfgeheim",
        b"\xef\xbb\xbfgeheim\r\n\n",
    ],
)
def test_what_editors_add_is_no_part_of_it(tmp_path: Path, content: bytes) -> None:
    """A byte order mark in front, newlines at the end."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(0o600)

    assert read_secret(file).text == "geheim"


@pytest.mark.parametrize("secret", [" a b ", "\ta", "a\nb", "\u00fc"])
def test_the_rest_is(tmp_path: Path, secret: str) -> None:
    """Blanks and what stands within belong to the password."""
    file = tmp_path / "secret"
    file.write_text(secret + "\n")
    file.chmod(0o600)

    assert read_secret(file).text == secret


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xef\xbb\xbf\r\n", "is empty"),
        (b"\n\n", "is empty"),
        (b"g\x00\xffeheim", "is not UTF-8"),
        ("geheim".encode("utf-16"), "is not UTF-8"),
    ],
)
def test_what_is_no_secret(tmp_path: Path, content: bytes, words: str) -> None:
    """Said, and never repeated."""
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(ValueError, match=words) as refusal:
        read_secret(file)
    assert "geheim" not in str(refusal.value)


@pytest.fixture
def of_others() -> Iterator[Path]:
    """A file of another user that everybody can read, seen by a user who cannot change that."""
    if os.geteuid() != 0:
        yield Path("/etc/hostname")
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder) / "secret"
        file.write_text("geheim\n")
        file.chmod(0o444)
        os.seteuid(NOBODY)
        yield file
        os.seteuid(0)


def test_a_mode_that_only_others_can_change_is_a_warning(of_others: Path) -> None:
    """Docker and Kubernetes mount secrets as 0444, owned by root."""
    secret = read_secret(of_others)

    assert secret.text == of_others.read_text().rstrip("\n")
    assert secret.warning == "is readable by everybody on this machine"


@pytest.mark.parametrize("mode", [0o604, 0o444, 0o602, 0o601])
def test_a_mode_that_we_can_change_is_refused(tmp_path: Path, mode: int) -> None:
    """With the way out."""
    file = tmp_path / "secret"
    file.write_text("geheim")
    file.chmod(mode)

    with pytest.raises(ValueError, match="is readable by everybody: chmod o-rwx"):
        read_secret(file)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o440, 0o400])
def test_a_private_file_is_good(tmp_path: Path, mode: int) -> None:
    """The group may read it: that is how Kubernetes lets a user in."""
    file = tmp_path / "secret"
    file.write_text("geheim")
    file.chmod(mode)

    assert read_secret(file).warning is None


def test_a_pipe_is_no_secret_file(tmp_path: Path) -> None:
    """Nothing waits for somebody who never writes."""
    os.mkfifo(tmp_path / "secret", 0o600)

    with pytest.raises(ValueError, match="is not a regular file"):
        read_secret(tmp_path / "secret")
