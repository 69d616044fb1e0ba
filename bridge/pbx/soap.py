"""Encodes SOAP requests and decodes SOAP answers with zeep and the WSDL of this package. No I/O.

Before zeep sees an answer, everything that varies with the firmware is removed (docs/wire.md#zeep): zeep
would fetch a schema from the network, or lose records. It never sees bytes that `wire` refuses.
"""

from importlib.resources import as_file, files
from typing import Any

from lxml import etree
from zeep import Client, Settings
from zeep.exceptions import Error as ZeepError
from zeep.transports import Transport

from bridge.errors import ProtocolError
from bridge.pbx import wire

_BINDING = "{http://innovaphone.com/pbx}pbxBinding"
_DECORATION = (
    "{http://www.w3.org/2001/XMLSchema-instance}type",
    "{http://schemas.xmlsoap.org/soap/encoding/}arrayType",
    "{http://schemas.xmlsoap.org/soap/encoding/}offset",
)
_ARRAYS = frozenset({"user", "call", "No", "info", "groups", "email"})


class _LocalOnly(Transport):
    """Loads files from disk and refuses every URL."""

    def load(self, url: str) -> bytes:
        if "://" in url:
            raise OSError(f"nothing is fetched from the network to read SOAP, not even {url}")
        content: bytes = super().load(url)
        return content


class Soap:
    """The SOAP operations. One object serves all PBXs of a process, because it has no state."""

    def __init__(self) -> None:
        settings = Settings(
            strict=False,
            xsd_ignore_sequence_order=True,
            forbid_dtd=True,
            forbid_entities=True,
            forbid_external=True,
        )
        transport = _LocalOnly()
        with as_file(files("bridge.pbx") / "pbx.wsdl") as path:
            client = Client(str(path), transport=transport, settings=settings)
        # zeep opens an HTTP session of its own, which is never used: connection.py sends the requests.
        transport.session.close()
        self._binding = client.wsdl.bindings[_BINDING]

    def request(self, operation: str, **parts: object) -> tuple[bytes, dict[str, str]]:
        """Body and headers of the request for an operation."""
        spec = self._binding.get(operation)
        envelope = spec.create(**parts).content
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{spec.soapaction}"'}
        return etree.tostring(envelope, xml_declaration=True, encoding="utf-8"), headers

    def answer(self, operation: str, body: bytes) -> Any:
        """Decode an answer: a value, a list, or an object with one attribute per part.

        Raises ProtocolError, or SoapFault if the answer is a fault.
        """
        answer = wire.answer_element(body)
        _undecorate(answer)
        try:
            return self._binding.get(operation).process_reply(answer.getroottree().getroot())
        except (ZeepError, ValueError, LookupError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            raise ProtocolError(f"the answer to {operation} does not fit its description ({kind})") from None


def _undecorate(answer: etree._Element) -> None:
    """Remove type attributes and rename array items to "item", as in the WSDL (docs/wire.md#arrays)."""
    for element in answer.iter():
        for attribute in _DECORATION:
            element.attrib.pop(attribute, "")
        name = etree.QName(element).localname
        if name in _ARRAYS and len(element) and all(child.tag == name for child in element):
            for child in element:
                child.tag = "item"
