"""Encodes SOAP requests and decodes SOAP answers after the WSDL of this package. No I/O.

zeep makes the first request of each shape; later ones are filled into what it made (template.py). An answer
is read without zeep: numbers, truth values and texts here, records by decode.py.
"""

from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from typing import Any

from lxml import etree
from zeep import Client, Settings
from zeep.transports import Transport
from zeep.xsd import Boolean, Integer

from bridge.pbx import wire
from bridge.pbx.parse import local
from bridge.pbx.template import Template, by_path, template_of

_BINDING = "{http://innovaphone.com/pbx}pbxBinding"
_LONGEST_NUMBER = 20


class _LocalOnly(Transport):
    """Loads files from disk and refuses every URL."""

    def load(self, url: str) -> bytes:
        if "://" in url:
            raise OSError(f"nothing is fetched from the network to read SOAP, not even {url}")
        content: bytes = super().load(url)
        return content


class Soap:
    """The SOAP operations. One object serves all PBXs of a process: it keeps nothing of any of them.

    There is a template for each operation and set of names of arguments, which are few: code has them.
    """

    def __init__(self) -> None:
        settings = Settings(strict=False, forbid_dtd=True, forbid_entities=True, forbid_external=True)
        transport = _LocalOnly()
        with as_file(files("bridge.pbx") / "pbx.wsdl") as path:
            client = Client(str(path), transport=transport, settings=settings)
        # zeep opens an HTTP session of its own, which is never used: connection.py sends the requests.
        transport.session.close()
        self._binding = client.wsdl.bindings[_BINDING]
        self._templates: dict[object, Template | None] = {}
        self._headers = {
            name: {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{spec.soapaction}"'}
            for name, spec in self._binding.all().items()
        }
        self._results = {
            name: {part: _reader(element.type) for part, element in spec.output.body.type.elements}
            for name, spec in self._binding.all().items()
            if spec.output.body is not None
        }

    def request(self, operation: str, **parts: object) -> tuple[bytes, Mapping[str, str]]:
        """Body and headers of the request for an operation."""
        values = by_path(parts)
        shape = operation, *values, *map(type, values.values())
        template = self._templates.get(shape)
        body = None if template is None else template.filled(values)
        if body is None:
            envelope = self._binding.get(operation).create(**parts).content
            body = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
            if shape not in self._templates:
                self._templates[shape] = template_of(envelope, values)
        return body, self._headers[operation]

    def answer(self, operation: str, body: bytes) -> Any:
        """Decode an answer without records: its value, or its values by name if it has several.

        A value that is missing or does not fit is None. Raises ProtocolError if the body is no SOAP answer,
        and SoapFault.
        """
        found = {local(part): part.text or "" for part in reversed(wire.answer_element(body))}
        readers = self._results.get(operation, {})
        if len(readers) == 1:
            ((name, read),) = readers.items()
            return read(found.get(name, ""))
        return {name: read(found.get(name, "")) for name, read in readers.items()}


def _reader(kind: object) -> Callable[[str], object]:
    if isinstance(kind, Integer):
        return _number
    return _truth if isinstance(kind, Boolean) else _text


def _number(text: str) -> int | None:
    try:
        return int(text) if len(text) <= _LONGEST_NUMBER else None
    except ValueError:
        return None


def _truth(text: str) -> bool | None:
    return text.strip() in {"true", "1"} if text else None


def _text(text: str) -> str | None:
    return text or None
