"""TLS in the configuration: what has no effect, what would be readable on the way. Opens no connection."""

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
UNVERIFIED = "false: nobody knows who answers; set ca_file or sha256"
IDLE = "true has no effect: everything secret is encrypted or stays on this machine; take it out"
OPEN = "anybody on the way can read and change everything"
Place = tuple[str | int, ...]
_SHA256_LENGTH = 64


class Tls(Section):
    """How to know who answers: by a CA (the system's without `ca_file`), or by its certificate's SHA-256."""

    verify: bool = True
    ca_file: ExistingFile | None = None
    sha256: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.sha256 is None:
            if self.ca_file is not None and not self.verify:
                raise MisplacedError("has no effect with verify: false: leave one of them out", "ca_file")
            return self
        if not self.verify or self.ca_file is not None:
            raise MisplacedError("pins the certificate: leave verify and ca_file out", "sha256")
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
    """TLS towards the broker, with a client certificate where the broker wants one."""

    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None

    @model_validator(mode="after")
    def _private(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise MisplacedError("has no effect without cert_file: give both", "key_file")
        list(self.doubts())
        return self

    def doubts(self) -> Iterator[tuple[Place, str]]:
        """What is wrong with the file of the private key though it can be used. Raises MisplacedError."""
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
    """How one side is reached. `sent`: the secret that goes over the wire as it is, or empty."""

    tls: Tls
    urls: Mapping[Place, str]
    sent: str
    insecure: bool

    def refuse(self) -> None:
        """Raise MisplacedError for TLS settings without effect and for a secret that could be read."""
        self._refuse_schemes()
        for place, scheme in self._exposed:
            if self.sent and not self.insecure:
                secure = f"write {ENCRYPTED[scheme]}://, or insecure: true to accept that"
                raise MisplacedError(f"anybody on the way could read {self.sent}: {secure}", *place)

    def doubts(self) -> Iterator[tuple[Place, str]]:
        """What is not refused and should be known at each start: where, and the sentence."""
        exposed = list(self._exposed)
        if self.insecure and not (self.sent and exposed):
            yield ("insecure",), IDLE
        for place, scheme in exposed[:1]:
            if self.sent and self.insecure:
                read = f"anybody on the way can read {self.sent}, and read and change everything else"
                yield ("insecure",), f"true: {scheme}:// is not encrypted: {read}"
            else:
                way = f"write {ENCRYPTED[scheme]}://"
                yield place, f"{scheme}:// is not encrypted: {OPEN}; {way}"
        if not self.tls.verify:
            yield ("tls", "verify"), UNVERIFIED
        if isinstance(self.tls, MqttTls):
            yield from ((("tls", *place), sentence) for place, sentence in self.tls.doubts())

    def _refuse_schemes(self) -> None:
        """Without TLS no `tls`; and one address without TLS is as weak as all of them without."""
        schemes = {place: urlsplit(url).scheme for place, url in self.urls.items()}
        plain = {place: scheme for place, scheme in schemes.items() if scheme in ENCRYPTED}
        for place, scheme in plain.items():
            secure = ENCRYPTED[scheme]
            if len(plain) < len(schemes):
                why = f"whoever blocks the {secure}:// address gets the login over {scheme}://"
                raise MisplacedError(f"{why}: write {secure}:// for all addresses", *place)
            for key in self.tls.given:
                way = f"write {secure}:// in the address, or take it out"
                raise MisplacedError(f"has no effect with {scheme}://: {way}", "tls", key)

    @property
    def _exposed(self) -> Iterator[tuple[Place, str]]:
        """The addresses that are reached over a network without TLS: where they stand, their schemes."""
        for place, url in self.urls.items():
            parts = urlsplit(url)
            if parts.scheme in ENCRYPTED and not is_loopback(parts.hostname or ""):
                yield place, parts.scheme


def _has_key(file: Path) -> bool:
    """A file of certificates may hold the private key too."""
    try:
        return b"PRIVATE KEY-----" in file.read_bytes()
    except OSError:
        return False
