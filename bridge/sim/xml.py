"""SOAP as this PBX writes and reads it, with templates of its own. Shares no code with bridge/pbx."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from lxml import etree

from bridge.sim.model import LegNews, No, SimUser, UserNews

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:c="http://schemas.xmlsoap.org/soap/encoding/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:inno="http://innovaphone.com/pbx"'
    ' e:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><e:Body>'
)
_TAIL = "</e:Body></e:Envelope>"
_ITEM_TYPES = {
    "user": "inno:UserInfo",
    "call": "inno:CallInfo",
    "No": "inno:No",
    "info": "inno:Info",
    "groups": "inno:Group",
    "email": "xsd:string",
    "devices": "inno:Device",
}
_NAMED = {
    "user": "inno:UserInfoArray",
    "call": "inno:CallInfoArray",
    "No": "inno:NoArray",
    "info": "inno:InfoArray",
    "groups": "inno:GroupArray",
    "email": "inno:EmailArray",
    "devices": "inno:DeviceArray",
}
_OLD_ORDER = (
    *("guid", "active", "state", "channel", "alert", "cn", "dn", "type", "e164", "h323", "presence"),
    *("loc", "node", "nodenum", "object", "cfg", "groups", "email"),
)
"""UserInfo in the field order of the older WSDL (docs/wire.md#arrays)."""


@dataclass(frozen=True, slots=True)
class Decoration:
    """Variants of the XML, as firmware differs (docs/wire.md#arrays). `empty`: empty, missing or nil.

    `misspelt`: replacements of pieces of responses, which need not be XML.
    """

    xsi_type: bool = True
    array_type: bool = True
    item_names: bool = False
    named_types: bool = False
    old_order: bool = False
    empty: str = "empty"
    extra: bool = False
    two_presences: bool = False
    latin1: bool = False
    misspelt: tuple[tuple[str, str], ...] = ()


class BadRequestError(Exception):
    """The body is not a SOAP request."""


def read_request(body: bytes) -> tuple[str, dict[str, object]]:
    """Operation and arguments, matched by local name whatever the namespace (docs/wire.md#requests)."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    if b"<!DOCTYPE" in body:
        raise BadRequestError("a DTD is refused")
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise BadRequestError(str(error)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadRequestError("a DTD is refused")
    for element in root:
        if _local(element) == "Body" and len(element):
            return _local(element[0]), {_local(part): _value(part) for part in element[0]}
    raise BadRequestError("no body")


def _value(part: etree._Element) -> object:
    """The text of an element, or a mapping for a structure."""
    if len(part):
        return {_local(child): _value(child) for child in part}
    return part.text or ""


def _local(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def reply(operation: str, parts: Iterable[str]) -> bytes:
    """The envelope around the parts of a response; Echo and UserEnd use another namespace."""
    odd = operation in {"Echo", "UserEnd"}
    namespace = ' xmlns:b="http://innovaphone/binding"' if odd else ""
    prefix = "b" if odd else "inno"
    name = f"{prefix}:{operation}Response"
    return f"{_HEAD}<{name}{namespace}>{''.join(parts)}</{name}>{_TAIL}".encode()


def fault(text: str) -> bytes:
    """A SOAP fault."""
    code = "<faultcode>e:Server</faultcode>"
    return f"{_HEAD}<e:Fault>{code}<faultstring>{escape(text)}</faultstring></e:Fault>{_TAIL}".encode()


class Writer:
    """Writes the parts of responses in one variant."""

    def __init__(self, decoration: Decoration) -> None:
        self._how = decoration

    def scalar(self, name: str, value: object) -> str:
        """One part with a number, a truth value or text."""
        kind = "boolean" if isinstance(value, bool) else "int" if isinstance(value, int) else "string"
        text = str(value).lower() if isinstance(value, bool) else escape(str(value))
        typed = f' xsi:type="xsd:{kind}"' if self._how.xsi_type else ""
        return f"<{name}{typed}>{text}</{name}>" if text else f"<{name}{typed}/>"

    def any_info(self, users: Iterable[UserNews], legs: Iterable[LegNews]) -> str:
        """The result of a Poll."""
        body = self.array("user", [self.user_fields(user) for user in users])
        body += self.array("call", [self._leg_fields(leg) for leg in legs])
        body += "<novelty>1</novelty>" if self._how.extra else ""
        typed = ' xsi:type="inno:AnyInfo"' if self._how.xsi_type else ""
        return f"<return{typed}>{body}</return>"

    def array(self, name: str, items: list[str], *, outer: str | None = None) -> str:
        """An array. Its items have its name, or "item" if the array is the whole result."""
        tag = outer or name
        item = "item" if outer or self._how.item_names else name
        if not items and self._how.empty == "missing":
            return ""
        if not items and self._how.empty == "nil":
            return f'<{tag} xsi:nil="true"/>'
        kind = _NAMED[name] if self._how.named_types else "c:Array"
        typed = f' xsi:type="{kind}"' if self._how.xsi_type else ""
        if self._how.array_type:
            typed += f' c:arrayType="{_ITEM_TYPES[name]}[{len(items)}]"'
        item_type = f' xsi:type="{_ITEM_TYPES[name]}"' if self._how.xsi_type else ""
        inner = "".join(f"<{item}{item_type}>{text}</{item}>" for text in items)
        return f"<{tag}{typed}>{inner}</{tag}>"

    def user_fields(self, news: UserNews) -> str:
        """The members of a UserInfo; all empty for the end of the list."""
        if news.end_of_list:
            return self._end_fields()
        user = news.user
        values: Mapping[str, object] = {
            "active": not news.gone,
            "cn": user.cn,
            "dn": user.dn,
            "type": user.type,
            "e164": user.e164,
            "h323": user.h323,
            "state": int(user.registered),
            "channel": news.channel,
            "alert": news.alert,
            "guid": user.id,
        }
        fields = {name: self.scalar(name, value) for name, value in values.items()} | self._optional(news)
        order = _OLD_ORDER if self._how.old_order else tuple(fields)
        return "".join(fields[name] for name in order) + ("<colour>blue</colour>" if self._how.extra else "")

    def _optional(self, news: UserNews) -> dict[str, str]:
        user = news.user
        groups = [self.scalar("group", name) + self.scalar("active", active) for name, active in user.groups]
        texts = {"loc": user.loc, "node": user.node, "object": user.object, "nodenum": ""}
        return {
            "groups": self.array("groups", groups),
            **{name: self.scalar(name, text) for name, text in texts.items()},
            "cfg": self.scalar("cfg", news.cfg),
            "presence": self._presence(user) * (2 if self._how.two_presences else 1),
            "email": self.array("email", [escape(email) for email in user.emails]),
        }

    def _presence(self, user: SimUser) -> str:
        if not user.presence:
            return ""
        entry = user.presence[0]
        values = {"status": entry.status, "activity": entry.activity, "note": entry.note}
        members = "".join(
            self.scalar(name, value) for name, value in values.items() if value or name != "status"
        )
        typed = ' xsi:type="inno:Presence"' if self._how.xsi_type else ""
        return f"<presence{typed}>{members}</presence>"

    def _end_fields(self) -> str:
        texts = ("cn", "dn", "type", "e164", "h323")
        numbers = ("state", "channel", "alert")
        return (
            self.scalar("active", True)  # noqa: FBT003  (the value of a field)
            + "".join(self.scalar(name, "") for name in texts)
            + "".join(self.scalar(name, 0) for name in numbers)
            + self.scalar("guid", "")
        )

    def leg_fields(self, news: LegNews) -> str:
        """The members of a CallInfo."""
        return self._leg_fields(news)

    def _leg_fields(self, news: LegNews) -> str:
        info = [self._info("conf", 0, news.conf)]
        info += [] if news.cause is None else [self._info("cause", news.cause, "")]
        info += [self._info("uui", 0, news.uui)] if news.uui else []
        info += [self._info("dtmf", 0, news.dtmf)] if news.dtmf else []
        return (
            self.scalar("user", news.user_handle)
            + self.scalar("call", news.leg)
            + self.scalar("reg", 0)
            + self.scalar("active", news.active)
            + self.scalar("state", news.state)
            + self.array("No", [self._no(number) for number in news.numbers])
            + self.scalar("msg", news.message)
            + self.array("info", info)
        )

    def _info(self, kind: str, number: int, text: str) -> str:
        return self.scalar("type", kind) + self.scalar("vali", number) + self.scalar("vals", text)

    def _no(self, no: No) -> str:
        values = {"type": no.type, "cn": no.cn, "dn": no.dn, "e164": no.e164, "h323": no.h323}
        return "".join(self.scalar(name, value) for name, value in values.items())

    def finish(self, body: bytes) -> bytes:
        """The bytes to send, optionally with a Latin-1 byte where UTF-8 is expected."""
        for right, wrong in self._how.misspelt:
            body = body.replace(right.encode(), wrong.encode("utf-8", "surrogatepass"))
        return body.replace("ü".encode(), b"\xfc") if self._how.latin1 else body
