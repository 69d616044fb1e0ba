"""The vendor's WSDL, where it is at hand, and what zeep's plain client needs to read it without a network."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPDigestAuth
from zeep import Client, Settings
from zeep.transports import Transport

ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
STUB = b"""<schema xmlns="http://www.w3.org/2001/XMLSchema" xmlns:t="http://schemas.xmlsoap.org/soap/encoding/"
 targetNamespace="http://schemas.xmlsoap.org/soap/encoding/"><attribute name="arrayType" type="string"/>
 <complexType name="Array"><sequence>
 <any minOccurs="0" maxOccurs="unbounded" processContents="lax"/></sequence>
 <attribute ref="t:arrayType"/></complexType></schema>"""


class Offline(Transport):
    """The encoding schema from here, nothing from the network."""

    def load(self, url: str) -> bytes:
        """Content of a file, or our stub."""
        if url.startswith(ENCODING):
            return STUB
        content: bytes = super().load(url)
        return content


def vendors_wsdl() -> str:
    """The vendor's WSDL; skips where it is not at hand."""
    beside = Path(__file__).parents[3] / "shared" / "vendor-wsdl" / "pbx10_00.wsdl"
    path = Path(os.environ.get("INNOVAPHONE_WSDL", beside))
    if not path.is_file():
        pytest.skip("the vendor's pbx10_00.wsdl is not at hand: name it by INNOVAPHONE_WSDL")
    return str(path)


@cache
def plain_client(path: str) -> Client:
    """A client of zeep by a file, with the simulator's account; reading the file takes longer than a test."""
    session = requests.Session()
    session.auth = HTTPDigestAuth("admin", "secret")
    settings = Settings(strict=False, xsd_ignore_sequence_order=True)
    return Client(path, transport=Offline(session=session), settings=settings)


def service_at(client: Client, url: str) -> Any:
    """The operations of a PBX at an address."""
    return client.create_service("{http://innovaphone.com/pbx}pbxBinding", url)
