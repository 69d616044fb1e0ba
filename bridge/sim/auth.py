"""HTTP authentication of a simulated PBX: digest (MD5, RFC 7616) by default, basic if it is allowed."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

_PAIR = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True, slots=True)
class Account:
    """Who may come in, and how: digest, basic, both or none."""

    username: str
    password: str
    mode: str = "digest"


class Gate:
    """Checks requests and makes challenges; a new nonce makes all older answers stale."""

    def __init__(self, account: Account, realm: str = "simulated PBX") -> None:
        self._account = account
        self._realm = realm
        self._nonce = secrets.token_hex(16)

    def new_nonce(self) -> None:
        """As after a restart: every client must answer a new challenge."""
        self._nonce = secrets.token_hex(16)

    def admits(self, method: str, path: str, header: str) -> bool:
        """Tell whether an Authorization header proves the account, for this method and path."""
        if self._account.mode == "none":
            return True
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "basic" and self._account.mode in {"basic", "both"}:
            wanted = f"{self._account.username}:{self._account.password}".encode()
            return secrets.compare_digest(base64.b64encode(wanted), rest.strip().encode())
        return (
            scheme.lower() == "digest" and self._account.mode != "basic" and self._digest(method, path, rest)
        )

    def challenges(self) -> list[tuple[str, str]]:
        """The headers of a 401."""
        digest = f'Digest realm="{self._realm}", nonce="{self._nonce}", qop="auth", algorithm=MD5'
        basic = f'Basic realm="{self._realm}"'
        offers = {"digest": [digest], "basic": [basic], "both": [digest, basic]}
        return [("WWW-Authenticate", offer) for offer in offers.get(self._account.mode, [])]

    def _digest(self, method: str, path: str, rest: str) -> bool:
        given = {key: _unquoted(quoted) or plain for key, quoted, plain in _PAIR.findall(rest)}
        account = self._account
        wanted = {"nonce": self._nonce, "username": account.username, "realm": self._realm, "uri": path}
        if any(given.get(name) != value for name, value in {**wanted, "qop": "auth"}.items()):
            return False
        secret = _md5(f"{account.username}:{self._realm}:{account.password}")
        request = _md5(f"{method}:{given.get('uri', '')}")
        middle = ":".join(given.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return secrets.compare_digest(
            _md5(f"{secret}:{middle}:{request}").encode(), given.get("response", "").encode()
        )


def _unquoted(text: str) -> str:
    """A quoted string without its escapes; header bytes are UTF-8 here, HTTP reads them as Latin-1."""
    return re.sub(r"\\(.)", r"\1", text).encode("latin-1", "replace").decode("utf-8", "replace")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
