"""zeep alone, for tests: the requests that it makes, and how it reads an answer that `wire` has let in."""

from functools import cache
from importlib.resources import as_file, files
from typing import Any

from lxml import etree
from zeep import Client, Settings

from bridge.pbx.wire import answer_element

_DECORATION = (
    "{http://www.w3.org/2001/XMLSchema-instance}type",
    "{http://schemas.xmlsoap.org/soap/encoding/}arrayType",
    "{http://schemas.xmlsoap.org/soap/encoding/}offset",
)
_ARRAYS = frozenset({"user", "call", "No", "info", "groups", "email"})


@cache
def binding() -> Any:
    """The operations of our WSDL."""
    settings = Settings(strict=False, xsd_ignore_sequence_order=True)
    with as_file(files("bridge.pbx") / "pbx.wsdl") as path:
        client = Client(str(path), settings=settings)  # type: ignore[no-untyped-call]
    client.transport.session.close()
    return client.wsdl.bindings["{http://innovaphone.com/pbx}pbxBinding"]


def zeeps_request(operation: str, **parts: object) -> bytes:
    """The body of a request."""
    envelope = binding().get(operation).create(**parts).content
    return etree.tostring(envelope, xml_declaration=True, encoding="utf-8")


def zeeps_answer(operation: str, body: bytes) -> Any:
    """What is in an answer. Type attributes are removed first, and items named as in the WSDL.

    See docs/wire.md#zeep.
    """
    answer = answer_element(body)
    for element in answer.iter():
        for attribute in _DECORATION:
            element.attrib.pop(attribute, "")
        name = etree.QName(element).localname
        if name in _ARRAYS and len(element) and all(child.tag == name for child in element):
            for child in element:
                child.tag = "item"
    return binding().get(operation).process_reply(answer.getroottree().getroot())
