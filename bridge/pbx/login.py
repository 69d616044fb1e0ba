"""Logging in to a PBX: what the next request says of us, and what an answer changes about that. No I/O.

A connection has one of these: the count of requests per nonce must not jump between two connections.
"""

import base64
import secrets

from bridge.errors import Rejected
from bridge.net.tls import checks
from bridge.pbx import digest
from bridge.pbx.challenge import Challenge, challenges, parameters
from bridge.pbx.digest import Account, Digest, Use
from bridge.pbx.endpoint import Endpoint, Target
from bridge.pbx.response import Response

UNAUTHORISED = 401
_BASIC_ONLY = "it offers basic only, or somebody on the way does"
_READS = "they get the password then"


class Login:
    """The account at one address, and the challenge that was answered last."""

    def __init__(self, endpoint: Endpoint, target: Target) -> None:
        self._place = endpoint.url
        self._account = Account(endpoint.username, endpoint.password)
        self._basic = endpoint.auth == "basic"
        self._target = target
        self._digest: Digest | None = None
        self._use = Use("", 0, "")

    def authorization(self, body: bytes) -> str | None:
        """The Authorization header of the next request; None before there is a challenge. Raises Rejected."""
        try:
            return self._basic_header() if self._basic else self._digest_header(body)
        except UnicodeEncodeError:
            raise Rejected(f"user name or password for {self._place} cannot be written in UTF-8") from None

    def answered(self, response: Response) -> None:
        """Take the nonce of the next request, where the server has sent one."""
        for header in response.all("authentication-info"):
            nonce = parameters(header).get("nextnonce")
            if nonce and self._digest is not None:
                self._use = Use(nonce, 0, self._use.cnonce)

    def challenged(self, response: Response, *, fresh: bool) -> None:
        """Take the challenge of a 401. `fresh`: the refused request answered one that had just come.

        Raises Rejected where there is nothing to answer, or the account was refused.
        """
        offers = challenges(response.all("www-authenticate"))
        found = None if self._basic else digest.best(offers)
        if found is None or (fresh and not found.stale):
            raise Rejected(f"{self._place} {self._refusal(offers, found)}")
        self._digest = found
        self._use = Use(found.nonce, 0, secrets.token_hex(16))

    def _basic_header(self) -> str:
        username, password = self._account.username, self._account.password
        if ":" in username:
            raise Rejected(f"a user name with a colon cannot be sent to {self._place}: set auth: digest")
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def _digest_header(self, body: bytes) -> str | None:
        if self._digest is None:
            return None
        self._use = Use(self._use.nonce, self._use.count + 1, self._use.cnonce)
        request = digest.Request("POST", self._target.path, body)
        header = digest.authorization(self._digest, self._account, request, self._use)
        if header is None:
            raise Rejected(f"a user name with a control character cannot be sent to {self._place}")
        return header

    def _refusal(self, offers: tuple[Challenge, ...], answered: Digest | None) -> str:
        schemes = {offer.scheme for offer in offers}
        refused = f"refuses user name or password of '{self._account.username}'"
        if answered is not None:
            return refused
        if self._basic:
            return refused + (" (it offers digest only: set auth: digest)" if schemes == {"digest"} else "")
        if "digest" in schemes:
            return f"asks for a digest that the bridge cannot give: {digest.unknown(offers)}"
        if schemes == {"basic"}:
            return f"{refused} ({self._only_basic()})"
        return f"{refused} (it offers neither digest nor basic)"

    def _only_basic(self) -> str:
        """Somebody on the way may have written the offer, to be sent the password: say where that can be."""
        tls = self._target.tls
        if tls is None:
            return f"{_BASIC_ONLY}; over http {_READS}: use https, then set auth: basic"
        if not checks(tls):
            return f"{_BASIC_ONLY}; with verify: false {_READS}: set tls.sha256 first"
        return "it offers basic only: set auth: basic"
