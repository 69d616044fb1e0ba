"""Our WSDL against the vendor's, where that file is at hand."""

from importlib.resources import files

import pytest
from lxml import etree

from bridge.pbx.soap import Soap
from tests.kit.vendor import vendors_wsdl

_W = "{http://schemas.xmlsoap.org/wsdl/}"
_S = "{http://schemas.xmlsoap.org/wsdl/soap/}"
_X = "{http://www.w3.org/2001/XMLSchema}"
_ARRAY_TYPE = f"{_W}arrayType"


@pytest.fixture(scope="module")
def vendor() -> etree._Element:
    """The vendor's file: named by INNOVAPHONE_WSDL, or in a folder `shared` beside the project."""
    return etree.parse(vendors_wsdl()).getroot()


@pytest.fixture(scope="module")
def ours() -> etree._Element:
    """The file in the package."""
    return etree.fromstring((files("bridge.pbx") / "pbx.wsdl").read_bytes())


def local(name: str | None) -> str:
    """A qualified name without its prefix."""
    return (name or "").rpartition(":")[2]


def operations(root: etree._Element) -> list[tuple[str, str, str]]:
    """Operations in order, with the messages they use."""
    return [
        (
            operation.get("name", ""),
            local(operation.find(f"{_W}input").get("message")),  # type: ignore[union-attr]
            local(operation.find(f"{_W}output").get("message")),  # type: ignore[union-attr]
        )
        for operation in root.iterfind(f"{_W}portType/{_W}operation")
    ]


def messages(root: etree._Element) -> dict[str, list[tuple[str, str]]]:
    """Parts and types of every message, in order."""
    return {
        message.get("name", ""): [
            (part.get("name", ""), local(part.get("type"))) for part in message.iterfind(f"{_W}part")
        ]
        for message in root.iterfind(f"{_W}message")
    }


def bindings(root: etree._Element) -> dict[str, tuple[str, list[str], list[str]]]:
    """Action, namespaces and encodings of every operation."""
    found = {}
    for operation in root.iterfind(f"{_W}binding/{_W}operation"):
        action = operation.find(f"{_S}operation")
        bodies = list(operation.iter(f"{_S}body"))
        assert action is not None
        found[operation.get("name", "")] = (
            action.get("soapAction", ""),
            [body.get("namespace", "") for body in bodies],
            [f"{body.get('use')} {body.get('encodingStyle')}" for body in bodies],
        )
    return found


def structures(root: etree._Element) -> dict[str, list[tuple[str, str, str]]]:
    """Members of every structure with type and occurrence, and the item type of every array."""
    found = {}
    for kind in root.iter(f"{_X}complexType"):
        found[kind.get("name", "")] = [
            (element.get("name", ""), local(element.get("type")), element.get("minOccurs", "1"))
            for element in kind.iter(f"{_X}element")
        ]
    return found


def enumerations(root: etree._Element) -> dict[str, list[str]]:
    """The values of every enumeration."""
    return {
        kind.get("name", ""): [value.get("value", "") for value in kind.iter(f"{_X}enumeration")]
        for kind in root.iter(f"{_X}simpleType")
    }


@pytest.mark.vendor
@pytest.mark.parametrize("view", [operations, messages, bindings, structures, enumerations])
def test_is_equal_in_interface_to_the_vendors(
    ours: etree._Element, vendor: etree._Element, view: object
) -> None:
    """Operations, parts, types, order, actions, namespaces, occurrence and values are the same."""
    assert callable(view)
    assert view(ours) == view(vendor)


@pytest.mark.vendor
def test_array_items_are_those_the_vendor_declares(vendor: etree._Element, ours: etree._Element) -> None:
    """The vendor names the item type in an attribute as well."""
    declared = {
        kind.get("name"): local(attribute.get(_ARRAY_TYPE)).removesuffix("[]")
        for kind in vendor.iter(f"{_X}complexType")
        for attribute in kind.iter(f"{_X}attribute")
    }

    assert declared == {name: items[0][1] for name, items in structures(ours).items() if name in declared}


def test_names_of_services_are_the_vendors(ours: etree._Element) -> None:
    """Names that toolkits use stay as they are known (docs/wire.md#envelope)."""
    assert ours.get("targetNamespace") == "http://innovaphone.com/pbx"
    assert [port.get("name") for port in ours.iter(f"{_W}port")] == ["pbxPort"]


def test_loads_without_any_network() -> None:
    """The loader refuses whatever is not a local file; this one needs nothing else."""
    body, headers = Soap().request("UserEnd", user=7)

    assert b"http://innovaphone/binding" in body
    assert headers["SOAPAction"] == '"capeconnect:pbx:pbxPortType#UserEnd"'
