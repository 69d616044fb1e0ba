"""HTTP authentication at one PBX: the header of the next request, updated by each response. No I/O.

Each connection has its own: the count of requests per nonce must rise by one, across all its requests.
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
_BASIC_ONLY = "it offers basic authentication only, or an attacker on the path does"
_READS = "the attacker would read the password"


class Login:
    """One account at one PBX, with the last challenge that was answered."""

    def __init__(self, endpoint: Endpoint, target: Target) -> None:
        self._place = endpoint.url
        self._account = Account(endpoint.username, endpoint.password)
        self._basic = endpoint.auth == "basic"
        self._target = target
        self._digest: Digest | None = None
        self._prepared: digest.Prepared | None = None
        self._use = Use("", 0, "")

    def authorization(self, body: bytes) -> str | None:
        """The Authorization header of the next request; None before the first challenge. Raises Rejected."""
        try:
            return self._basic_header() if self._basic else self._digest_header(body)
        except UnicodeEncodeError:
            raise Rejected(f"user name or password for {self._place} cannot be encoded as UTF-8") from None

    def answered(self, response: Response) -> None:
        """Use the next nonce, if the response carries one."""
        for header in response.all("authentication-info"):
            nonce = parameters(header).get("nextnonce")
            if nonce and self._digest is not None:
                self._use = Use(nonce, 0, self._use.cnonce)

    def challenged(self, response: Response, *, fresh: bool) -> None:
        """Take the challenge of a 401. `fresh`: the rejected request had answered a new challenge.

        Raises Rejected if no challenge can be answered or the credentials were rejected.
        """
        offers = challenges(response.all("www-authenticate"))
        found = None if self._basic else digest.best(offers)
        if found is None or (fresh and not found.stale):
            raise Rejected(f"{self._place} {self._refusal(offers, found)}")
        self._digest, self._prepared = found, None
        self._use = Use(found.nonce, 0, secrets.token_hex(16))

    def _basic_header(self) -> str:
        username, password = self._account.username, self._account.password
        if ":" in username:
            raise Rejected(f"a user name with a colon cannot be sent to {self._place}: set auth: digest")
        return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()

    def _digest_header(self, body: bytes) -> str | None:
        if self._digest is None:
            return None
        use = self._use = Use(self._use.nonce, self._use.count + 1, self._use.cnonce)
        answers = self._prepared or digest.prepared(
            self._digest, self._account, "POST", self._target.path, use.cnonce
        )
        if answers is None:
            raise Rejected(f"a user name with a control character cannot be sent to {self._place}")
        self._prepared = answers
        return answers.header(body, use)

    def _refusal(self, offers: tuple[Challenge, ...], answered: Digest | None) -> str:
        schemes = {offer.scheme for offer in offers}
        refused = f"rejected the credentials of '{self._account.username}'"
        if answered is not None:
            return refused
        if self._basic:
            return refused + (
                " (it offers digest authentication only: set auth: digest)" if schemes == {"digest"} else ""
            )
        if "digest" in schemes:
            return f"requires a digest that is not supported: {digest.unknown(offers)}"
        if schemes == {"basic"}:
            return f"{refused} ({self._only_basic()})"
        return f"{refused} (it offers neither digest nor basic authentication)"

    def _only_basic(self) -> str:
        """Advice where only basic is offered: an attacker on the path may forge that to get the password."""
        tls = self._target.tls
        if tls is None:
            return f"{_BASIC_ONLY}; over http {_READS}: use https, then set auth: basic"
        if not checks(tls):
            return f"{_BASIC_ONLY}; with verify: false {_READS}: set tls.sha256 first"
        return "it offers basic authentication only: set auth: basic"
