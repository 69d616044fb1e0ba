"""Admin of a simulated PBX: XML documents that read and change objects (docs/wire.md#admin). No SOAP here."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from lxml import etree

from bridge.sim.arguments import Args, text
from bridge.sim.desk import Desk
from bridge.sim.exchange import Exchange
from bridge.sim.model import Forward, SimUser

Command = Callable[[Exchange, etree._Element], str]  # noqa: SLF001  (the only name of the type)
OK = "<ok/>\n"
SECRET = "********"  # noqa: S105  (what stands in the place of one)
NAMES = ("cn", "dn", "h323", "e164", "text", "loc", "node", "type")


async def admin(desk: Desk, args: Args) -> list[str]:
    """Run one command; an error is an answer too, whose form is not documented."""
    return desk.answer(_run(desk, text(args, "xml")))


def _run(desk: Desk, document: str) -> str:
    if not desk.profile.gives_admin:
        return _error("no administrator")
    try:
        root = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return _error("not one XML document")
    command, wanted = COMMANDS.get(str(root.tag)), root.find("user")
    if command is None or wanted is None:
        return _error(f"unknown command {root.tag}")
    return command(desk.exchange, wanted)


def _show(exchange: Exchange, wanted: etree._Element) -> str:
    """An object with what its templates add, or with any `config` its own configuration only."""
    answer = etree.Element("show")
    user = _object(exchange, wanted)
    if user is not None:
        answer.append(_element(user, templates=wanted.get("config") is None))
    return etree.tostring(answer, encoding="unicode")


def _modify(exchange: Exchange, wanted: etree._Element) -> str:
    """Write a whole object; what is missing is empty then. The presence is no configuration."""
    user = _object(exchange, wanted)
    if user is None:
        return _error("no such user")
    changed = replace(user, **_configuration(wanted))
    if not changed.cn or (changed.cn != user.cn and changed.cn in exchange.users):
        return _error("the name is missing or taken")
    exchange.put_user(changed, instead_of=user.cn, cfg=True)
    return OK


def _add(exchange: Exchange, wanted: etree._Element) -> str:
    """Make an object; the PBX chooses its guid."""
    fields = _configuration(wanted)
    if not fields["cn"] or fields["cn"] in exchange.users:
        return _error("the name is missing or taken")
    exchange.put_user(SimUser(**fields), cfg=True)
    return OK


def _add_attrib(exchange: Exchange, wanted: etree._Element) -> str:
    """Add diversions, also those that are there already."""
    user = _object(exchange, wanted)
    if user is None:
        return _error("no such user")
    exchange.put_user(replace(user, forwards=user.forwards + _forwards(wanted)), instead_of=user.cn, cfg=True)
    return OK


def _del_attrib(exchange: Exchange, wanted: etree._Element) -> str:
    """Delete one diversion for each that is named; those that are not there are no error."""
    user = _object(exchange, wanted)
    if user is None:
        return _error("no such user")
    rest = list(user.forwards)
    for forward in _forwards(wanted):
        if forward in rest:
            rest.remove(forward)
    exchange.put_user(replace(user, forwards=tuple(rest)), instead_of=user.cn, cfg=True)
    return OK


COMMANDS: Mapping[str, Command] = {
    "show": _show,
    "modify": _modify,
    "add": _add,
    "add-attrib": _add_attrib,
    "del-attrib": _del_attrib,
}


def _error(reason: str) -> str:
    element = etree.Element("error")
    element.text = reason
    return etree.tostring(element, encoding="unicode")


def _object(exchange: Exchange, wanted: etree._Element) -> SimUser | None:
    """The object that is named by guid, or by long name."""
    return exchange.by_guid(wanted.get("guid", "")) or exchange.users.get(wanted.get("cn", ""))


def _element(user: SimUser, *, templates: bool) -> etree._Element:
    """An object as a configuration has it; a password is shown as stars."""
    values = {name: str(getattr(user, name)) for name in NAMES} | {"email": ",".join(user.emails)}
    element = etree.Element("user", {name: value for name, value in values.items() if value})
    element.set("guid", user.guid)
    element.set("pwd", SECRET)
    for name, active in user.groups:
        etree.SubElement(element, "grp", {"name": name} | ({"mode": "active"} if active else {}))
    for hardware, words in user.hardware:
        etree.SubElement(element, "device", {"hw": hardware, "text": words})
    for forward in (*user.forwards, *(user.inherited if templates else ())):
        target = {"e164": forward.e164, "h323": forward.h323}
        diversion = etree.SubElement(element, "cd", {"type": forward.kind})
        etree.SubElement(diversion, "ep", {name: value for name, value in target.items() if value})
    for entry in user.presence:
        etree.SubElement(element, "presence", {"c": entry.contact, "a": entry.activity, "n": entry.note})
    return element


def _configuration(element: etree._Element) -> dict[str, Any]:
    """The fields of an object in a document; unknown ones, and a password, are not simulated."""
    groups = ((group.get("name", ""), group.get("mode") == "active") for group in element.findall("grp"))
    devices = ((device.get("hw", ""), device.get("text", "")) for device in element.findall("device"))
    return {
        **{name: element.get(name, "") for name in NAMES},
        "emails": tuple(email for email in element.get("email", "").split(",") if email),
        "groups": tuple(groups),
        "devices": tuple(devices),
        "forwards": _forwards(element),
    }


def _forwards(element: etree._Element) -> tuple[Forward, ...]:
    """The diversions in a document, one for each end."""
    return tuple(
        Forward(diversion.get("type", ""), end.get("e164", ""), end.get("h323", ""))
        for diversion in element.findall("cd")
        for end in diversion.findall("ep")
    )
