"""SOAP requests and answers by zeep, from the WSDL in this package. No I/O: bytes out, bytes in.

Before zeep sees an answer, everything that varies with the firmware is removed (docs/wire.md#zeep), so that
it neither fetches a schema nor loses records, and never sees bytes that `wire` would refuse.
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
    """Reads the WSDL from disk and nothing from anywhere else."""

    def load(self, url: str) -> bytes:
        if "://" in url:
            raise OSError(f"nothing is fetched from the network to read SOAP, not even {url}")
        content: bytes = super().load(url)
        return content


class Soap:
    """The operations of the PBX. One object serves all PBXs of a process: it keeps no state."""

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
        transport.session.close()
        self._binding = client.wsdl.bindings[_BINDING]

    def request(self, operation: str, **parts: object) -> tuple[bytes, dict[str, str]]:
        """The body and the headers that ask the PBX for an operation."""
        spec = self._binding.get(operation)
        envelope = spec.create(**parts).content
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{spec.soapaction}"'}
        return etree.tostring(envelope, xml_declaration=True, encoding="utf-8"), headers

    def answer(self, operation: str, body: bytes) -> Any:
        """What the PBX answered: a value, a list, or an object with one attribute for each part.

        Raises ProtocolError, and SoapFault where the PBX said no.
        """
        answer, _ = wire.parse_answer(body)
        _undecorate(answer)
        try:
            return self._binding.get(operation).process_reply(answer.getroottree().getroot())
        except (ZeepError, ValueError, LookupError, TypeError, AttributeError) as error:
            kind = type(error).__name__
            raise ProtocolError(f"the answer to {operation} does not fit its description ({kind})") from None


def _undecorate(answer: etree._Element) -> None:
    """Drop type attributes and call every array item "item", as the WSDL does."""
    for element in answer.iter():
        for attribute in _DECORATION:
            element.attrib.pop(attribute, "")
        name = etree.QName(element).localname
        if name in _ARRAYS and len(element) and all(child.tag == name for child in element):
            for child in element:
                child.tag = "item"
