"""Requests are byte for byte those of zeep, and answers are read as zeep reads them."""

from collections.abc import Mapping

import pytest

from bridge.pbx.soap import Soap
from bridge.sim import xml
from tests.pbx.oracle import binding, zeeps_answer, zeeps_request

FLAGS = dict.fromkeys(("v", "v501", "v700", "v800", "vx1000"), True)
REQUESTS: list[tuple[str, Mapping[str, object]]] = [
    ("Initialize", {"user": "API", "appl": "x", **FLAGS}),
    ("Poll", {"session": 1}),
    ("Echo", {"session": 1, "key": 2}),
    ("End", {"session": 1}),
    ("UserInitialize", {"session": 1, "user": "A", "xfer": True, "disc": False, "hw": ""}),
    ("UserEnd", {"user": 3}),
    ("Admin", {"xml": "<show><user cn='A'/></show>"}),
    (
        "UserCall",
        {"user": 3, "cn": "A", "e164": "1", "h323": "", "reg": 0, "info": [], "rc": 0, "srce164": ""},
    ),
    (
        "SetPresence",
        {"presence": {"activity": "a", "note": "n"}, "im": True, "contact": "", "guid": "g", "h323": ""},
    ),
    (
        "SetPresence",
        {
            "presence": {"activity": "a", "note": "n", "status": "s"},
            "im": True,
            "contact": "",
            "guid": "g",
            "h323": "",
        },
    ),
]
TEXTS = [
    "",
    " ",
    "a&b;",
    "<x/>",
    "]]>",
    "\"'",
    "a\tb\nc",
    "a\r\nb",
    "ü\U0001f600",
    "\ue000user\ue001",
    "x" * 9999,
]
FORBIDDEN = ["\x00", "a\x1bb", "\ufffe", "\ud800"]
SCALARS = {
    name: dict(spec.output.body.type.elements)
    for name, spec in binding().all().items()
    if spec.output.body is not None
    and {type(part.type).__name__ for _, part in spec.output.body.type.elements}
    <= {"Int", "String", "Boolean"}
}
VALUES = [
    "",
    "0",
    "1",
    "-1",
    " 7 ",
    "true",
    "false",
    "x",
    " text ",
    "1.5",
    "a&amp;b",
]


def other(value: object, text: str, number: int) -> object:
    """A value of the same type."""
    if isinstance(value, dict):
        return {name: other(each, text, number) for name, each in value.items()}
    if isinstance(value, bool):
        return number > 0
    if isinstance(value, int):
        return number
    return text if isinstance(value, str) else value


@pytest.mark.parametrize(("operation", "parts"), REQUESTS)
@pytest.mark.parametrize("first", ["", "a\rb", "plain"])
def test_requests_are_those_of_zeep(operation: str, parts: Mapping[str, object], first: str) -> None:
    """Whatever the first of them had as values, and whatever the later ones have."""
    soap = Soap()
    for text, number in [(first, 0), *((text, number) for text in TEXTS for number in (0, 1, -5, 2**40))]:
        values = {name: other(value, text, number) for name, value in parts.items()}

        assert soap.request(operation, **values)[0] == zeeps_request(operation, **values)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_xml_forbids_is_an_error_as_with_zeep(text: str) -> None:
    """Nothing odd goes to the PBX because another request went before."""
    soap = Soap()
    soap.request("Admin", xml="a")

    with pytest.raises(ValueError, match=r"XML|surrogates"):
        zeeps_request("Admin", xml=text)
    with pytest.raises(ValueError, match=r"XML|surrogates"):
        soap.request("Admin", xml=text)


def test_values_that_are_written_in_another_way_are_left_to_zeep() -> None:
    """A truth value for a text, a number for a truth value, items of an array."""
    soap = Soap()
    odd: list[tuple[str, dict[str, object]]] = [
        ("Admin", {"xml": True}),
        ("UserInitialize", {"session": 1, "user": "A", "xfer": 1, "disc": 0, "hw": 5}),
        ("UserClear", {"call": 1, "cause": 2, "info": []}),
    ]
    for operation, parts in [*odd, *odd[::-1]]:
        assert soap.request(operation, **parts)[0] == zeeps_request(operation, **parts)


@pytest.mark.parametrize("operation", SCALARS)
def test_answers_are_read_as_by_zeep(operation: str) -> None:
    """Each value that an operation can have; what does not fit is None."""
    soap, names = Soap(), list(SCALARS[operation])
    for text in VALUES:
        for form in (
            "<{0}>{1}</{0}>",
            '<{0} xsi:type="xsd:string">{1}</{0}>',
            "<{0}/>",
            '<{0} xsi:nil="true"/>',
        ):
            body = xml.reply(operation, [form.format(name, text) for name in names])
            theirs = zeeps_answer(operation, body)

            assert soap.answer(operation, body) == (
                {name: theirs and theirs[name] for name in names} if len(names) > 1 else theirs
            )


def test_odd_answers() -> None:
    """The order of values, and more of them, mean nothing; a number that is too long is none."""
    soap = Soap()
    opened = "<x/><key>2</key><return>1</return><return>3</return>"

    assert soap.answer("Initialize", xml.reply("Initialize", [opened])) == {"return": 1, "key": 2}
    assert soap.answer("Initialize", xml.reply("Initialize", [])) == {"return": None, "key": None}
    assert soap.answer("Echo", xml.reply("Echo", [f"<return>{'9' * 5000}</return>"])) is None
    assert not soap.answer("End", xml.reply("End", ["<return>1</return>"]))
