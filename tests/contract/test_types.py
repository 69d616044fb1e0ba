"""The JSON Schema of each kind of type that payloads are made of."""

from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from bridge.contract.types import Catalogue
from bridge.core.payloads import About


class Colour(StrEnum):
    """What it looks like."""

    RED = "red"


class Wheel(TypedDict):
    """A wheel."""

    size: int


class Car(TypedDict):
    """Something with wheels.

    Of no interest to consumers.
    """

    wheels: list[Wheel]
    spare: Wheel | None
    colour: NotRequired[Colour]
    fuel: Annotated[Literal["petrol", "none"], About("what it burns")]


class Elsewhere:
    """Another place, whose names may be the same."""

    class Wheel(TypedDict):
        """Another wheel."""

        spokes: int


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (float, {"type": "number"}),
        (int | None, {"type": ["integer", "null"]}),
        (Literal[True], {"type": "boolean", "const": True}),
        (list[bool], {"type": "array", "items": {"type": "boolean"}}),
        (Wheel | None, {"anyOf": [{"$ref": "#/Wheel"}, {"type": "null"}]}),
        (
            Annotated[str, About("when", "date-time")] | None,
            {"anyOf": [{"type": "string", "description": "when", "format": "date-time"}, {"type": "null"}]},
        ),
        (
            Annotated[str, About(format="date-time")] | None,
            {"type": ["string", "null"], "format": "date-time"},
        ),
        (Annotated[Colour, "no word for readers"], {"$ref": "#/Colour"}),
    ],
)
def test_schema_of_a_type(hint: Any, schema: object) -> None:
    """Plain where it can be."""
    assert Catalogue("#/").of(hint) == schema


def test_named_types_are_described_once() -> None:
    """In the order in which a reader meets them."""
    catalogue = Catalogue("#/")

    assert catalogue.of(Car) == catalogue.of(Car) == {"$ref": "#/Car"}
    assert list(catalogue.schemas) == ["Car", "Wheel", "Colour"]
    assert catalogue.schemas["Colour"] == {
        "title": "Colour",
        "description": "What it looks like.",
        "type": "string",
        "enum": ["red"],
    }
    assert catalogue.schemas["Car"] == {
        "title": "Car",
        "description": "Something with wheels.",
        "type": "object",
        "properties": {
            "wheels": {"type": "array", "items": {"$ref": "#/Wheel"}},
            "spare": {"anyOf": [{"$ref": "#/Wheel"}, {"type": "null"}]},
            "colour": {"$ref": "#/Colour"},
            "fuel": {
                "title": "CarFuel",
                "type": "string",
                "enum": ["petrol", "none"],
                "description": "what it burns",
            },
        },
        "required": ["wheels", "spare", "fuel"],
    }


def test_two_types_of_one_name_are_a_mistake() -> None:
    """One would hide the other."""
    catalogue = Catalogue("#/")
    catalogue.of(Wheel)

    with pytest.raises(ValueError, match="two types of the contract are named Wheel"):
        catalogue.of(Elsewhere.Wheel)


def test_a_type_that_json_does_not_have_is_a_mistake() -> None:
    """Better at the first test than in a consumer."""
    with pytest.raises(KeyError):
        Catalogue("#/").of(bytes)
