"""HTTP authentication of a simulated PBX: digest (RFC 7616) by default, basic if it is allowed."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from urllib.parse import unquote

_PAIR = re.compile(r'([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_SESS = "-sess"


@dataclass(frozen=True, slots=True)
class Account:
    """The account and its mode of authentication: digest, basic, both or none.

    For digest: the algorithm, also with -sess; whether user names come in UTF-8 or hashed; whether each
    response names the next nonce, which makes the last one stale.
    """

    username: str
    password: str
    mode: str = "digest"
    algorithm: str = "MD5"
    utf8: bool = False
    userhash: bool = False
    next_nonce: bool = False


class Gate:
    """Checks credentials and issues challenges; a new nonce makes all earlier credentials stale."""

    def __init__(self, account: Account, realm: str = "simulated PBX") -> None:
        self._account = account
        self._realm = realm
        self._hash = _HASHES[account.algorithm.removesuffix(_SESS)]
        self._nonce = secrets.token_hex(16)

    def new_nonce(self) -> None:
        """Require every client to answer a new challenge, as after a restart."""
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
        account = self._account
        digest = (
            f'Digest realm="{self._realm}", nonce="{self._nonce}", qop="auth", algorithm={account.algorithm}'
        )
        digest += ", charset=UTF-8" * account.utf8 + ", userhash=true" * account.userhash
        basic = f'Basic realm="{self._realm}"'
        offers = {"digest": [digest], "basic": [basic], "both": [digest, basic]}
        return [("WWW-Authenticate", offer) for offer in offers.get(account.mode, [])]

    def next_nonce(self) -> list[tuple[str, str]]:
        """The headers of a response to an authenticated request."""
        if not self._account.next_nonce:
            return []
        self.new_nonce()
        return [("Authentication-Info", f'nextnonce="{self._nonce}"')]

    def _digest(self, method: str, path: str, rest: str) -> bool:
        given = {key: _unquoted(quoted) or plain for key, quoted, plain in _PAIR.findall(rest)}
        account = self._account
        wanted = {"nonce": self._nonce, "realm": self._realm, "uri": path, "qop": "auth"}
        if any(given.get(name) != value for name, value in wanted.items()) or not self._is_user(given):
            return False
        secret = self._hashed(f"{account.username}:{self._realm}:{account.password}")
        if account.algorithm.endswith(_SESS):
            secret = self._hashed(f"{secret}:{self._nonce}:{given.get('cnonce', '')}")
        request = self._hashed(f"{method}:{path}")
        middle = ":".join(given.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return secrets.compare_digest(
            self._hashed(f"{secret}:{middle}:{request}").encode(), given.get("response", "").encode()
        )

    def _is_user(self, given: dict[str, str]) -> bool:
        name = self._account.username
        if self._account.userhash:
            return given.get("username") == self._hashed(f"{name}:{self._realm}")
        if "username*" in given:
            return self._account.utf8 and unquote(given["username*"].removeprefix("UTF-8''")) == name
        return given.get("username") == name

    def _hashed(self, text: str) -> str:
        return hashlib.new(self._hash, text.encode(), usedforsecurity=False).hexdigest()


def _unquoted(text: str) -> str:
    """A quoted string without its escapes; header bytes are UTF-8 here, HTTP reads them as Latin-1."""
    return re.sub(r"\\(.)", r"\1", text).encode("latin-1", "replace").decode("utf-8", "replace")
