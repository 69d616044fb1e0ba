"""TLS settings: refuse those without effect and secrets in clear text. Opens no connection."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import model_validator

from bridge.config.secrets import exposure
from bridge.config.types import ExistingFile, MisplacedError, Section
from bridge.net.addresses import is_loopback

ENCRYPTED = {"mqtt": "mqtts", "ws": "wss", "http": "https"}
"""The schemes without TLS, each with its encrypted form."""
UNVERIFIED = "false: the peer is not authenticated; set ca_file or sha256"
IDLE = "true has no effect, because no secret leaves this machine unencrypted; remove it"
OPEN = "anybody on the network path can read and change everything"
Place = tuple[str | int, ...]
_SHA256_LENGTH = 64


class Tls(Section):
    """How to authenticate the peer: by a CA (default: the system's) or by the SHA-256 of its certificate."""

    verify: bool = True
    ca_file: ExistingFile | None = None
    sha256: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.sha256 is None:
            if self.ca_file is not None and not self.verify:
                raise MisplacedError("has no effect with verify: false; remove one of them", "ca_file")
            return self
        if not self.verify or self.ca_file is not None:
            raise MisplacedError("pins the certificate; remove verify and ca_file", "sha256")
        digits = set(self.pin or "")
        if len(self.pin or "") != _SHA256_LENGTH or not digits <= set("0123456789abcdef"):
            raise MisplacedError("expected 64 hexadecimal digits, colons allowed", "sha256")
        return self

    @property
    def pin(self) -> str | None:
        """The pinned digest as 64 lower-case hexadecimal digits."""
        return None if self.sha256 is None else self.sha256.replace(":", "").lower()

    @property
    def given(self) -> Iterator[str]:
        """The keys that the configuration gives."""
        names = (name for name in type(self).model_fields if name in self.model_fields_set)
        return (name for name in names if getattr(self, name) is not None)


class MqttTls(Tls):
    """TLS to the broker, optionally with a client certificate."""

    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None

    @model_validator(mode="after")
    def _private(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise MisplacedError("has no effect without cert_file; give both", "key_file")
        list(self.doubts())
        return self

    def doubts(self) -> Iterator[tuple[Place, str]]:
        """A warning if the file of the private key is usable but exposed. Raises MisplacedError."""
        place, file = ("key_file", self.key_file) if self.key_file else ("cert_file", self.cert_file)
        if file is None or (place == "cert_file" and not _has_key(file)):
            return
        try:
            doubt = exposure(file)
        except ValueError as error:
            raise MisplacedError(f"'{file}' {error}", place) from None
        if doubt is not None:
            yield (place,), f"'{file}' {doubt}"


@dataclass(frozen=True, slots=True)
class Reach:
    """How the PBX or the broker is reached. `sent`: the secret that is sent in clear text, or empty."""

    tls: Tls
    urls: Mapping[Place, str]
    sent: str
    insecure: bool

    def refuse(self) -> None:
        """Raise MisplacedError for TLS settings without effect and for a secret that others could read."""
        self._refuse_schemes()
        for place, scheme in self._exposed:
            if self.sent and not self.insecure:
                secure = f"write {ENCRYPTED[scheme]}://, or insecure: true to accept the risk"
                raise MisplacedError(f"anybody on the network path could read {self.sent}: {secure}", *place)

    def doubts(self) -> Iterator[tuple[Place, str]]:
        """Warnings for each start: the place and the sentence."""
        exposed = list(self._exposed)
        if self.insecure and not (self.sent and exposed):
            yield ("insecure",), IDLE
        for place, scheme in exposed[:1]:
            if self.sent and self.insecure:
                read = (
                    f"anybody on the network path can read {self.sent}, and read and change everything else"
                )
                yield ("insecure",), f"true: {scheme}:// is not encrypted: {read}"
            else:
                way = f"write {ENCRYPTED[scheme]}://"
                yield place, f"{scheme}:// is not encrypted: {OPEN}; {way}"
        if not self.tls.verify:
            yield ("tls", "verify"), UNVERIFIED
        if isinstance(self.tls, MqttTls):
            yield from ((("tls", *place), sentence) for place, sentence in self.tls.doubts())

    def _refuse_schemes(self) -> None:
        """Refuse `tls` without TLS, and mixed addresses: an attacker can force the weakest one."""
        schemes = {place: urlsplit(url).scheme for place, url in self.urls.items()}
        plain = {place: scheme for place, scheme in schemes.items() if scheme in ENCRYPTED}
        for place, scheme in plain.items():
            secure = ENCRYPTED[scheme]
            if len(plain) < len(schemes):
                why = f"an attacker who blocks the {secure}:// address gets the login over {scheme}://"
                raise MisplacedError(f"{why}: write {secure}:// for all addresses", *place)
            for key in self.tls.given:
                way = f"write {secure}:// in the address, or remove it"
                raise MisplacedError(f"has no effect with {scheme}://: {way}", "tls", key)

    @property
    def _exposed(self) -> Iterator[tuple[Place, str]]:
        """The places and schemes of addresses on other machines without TLS."""
        for place, url in self.urls.items():
            parts = urlsplit(url)
            if parts.scheme in ENCRYPTED and not is_loopback(parts.hostname or ""):
                yield place, parts.scheme


def _has_key(file: Path) -> bool:
    """Whether a certificate file contains the private key, too."""
    try:
        return b"PRIVATE KEY-----" in file.read_bytes()
    except OSError:
        return False
