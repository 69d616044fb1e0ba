"""The numbering of a PBX: from a number as the PBX shows it to E.164, and which numbers are internal. Pure.

A number that cannot be one of the public network stays as it is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from bridge.core.model import RemoteParty
from bridge.core.numbers import dialable, fits
from bridge.core.presentation import TopicClass
from bridge.core.value import evolve

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import PhoneMetadata

_CLOSED = (None, "1")
"""National prefixes of the countries where a number without its national prefix may be complete."""


@dataclass(frozen=True, slots=True)
class DialPlan:
    """How the PBX writes numbers. Without a country no number is changed.

    `trunk_prefix`: what stands before every number of the public network; with an empty one, a number
    without a national or international prefix is an extension. `internal`: patterns in normal form.
    """

    country_code: int | None = None
    area_code: str = ""
    trunk_prefix: str = ""
    internal: tuple[str, ...] = ()

    def show(self, party: RemoteParty, _topic_class: TopicClass) -> RemoteParty:
        """A step of the presentation: the number of a party outside in E.164, and whether it is internal."""
        internal = party.internal or fits(party.number, self.internal)
        number = party.number if internal else self.e164(party.number)
        return evolve(party, number=number, internal=internal)

    def e164(self, number: str) -> str:
        """A number as the PBX shows it, in E.164. An extension and what is no number stay as they are."""
        digits = dialable(number)
        if self.country_code is None or digits is None:
            return number
        if not digits.startswith("+") and not digits.startswith(self.trunk_prefix):
            return number
        public = digits.removeprefix(self.trunk_prefix)
        area_code = self.area_code if self.trunk_prefix else ""
        return _e164(public, self.country_code, area_code) or number

    def written(self, number: str) -> str:
        """The same for a number as people write it: without a trunk prefix."""
        digits = dialable(number)
        if self.country_code is None or digits is None:
            return number
        return _e164(digits, self.country_code, "") or number


def country(country_code: int) -> str | None:
    """The main country with this country code; None if there is none."""
    import phonenumbers  # noqa: PLC0415  (it costs memory and time: only for those who want E.164)

    found = phonenumbers.region_code_for_country_code(country_code)
    return found if len(found) == len("DE") and found != phonenumbers.UNKNOWN_REGION else None


@lru_cache(maxsize=8192)
def _e164(digits: str, country_code: int, area_code: str) -> str | None:
    """A number of the public network in E.164; None for emergency and short numbers, and for others."""
    import phonenumbers  # noqa: PLC0415  (as above)

    region = country(country_code)
    metadata = None if region is None else phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or not digits.removeprefix("+").isdecimal() or _is_short(digits, country_code):
        return None
    for candidate, surely in _candidates(digits, metadata, area_code):
        try:
            number = phonenumbers.parse(candidate, region)
        except phonenumbers.NumberParseException:
            continue
        good = phonenumbers.is_valid_number if surely else phonenumbers.is_possible_number
        if good(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None


def _is_short(digits: str, country_code: int) -> bool:
    """A number like 112, which has no form with a country code."""
    import phonenumbers  # noqa: PLC0415  (as above)

    try:
        number = phonenumbers.parse(f"+{country_code}{digits}")
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_short_number(number)


def _candidates(digits: str, metadata: "PhoneMetadata", area_code: str) -> Iterator[tuple[str, bool]]:
    """What the number may be in full, and whether it must be a number that exists, not only one that may."""
    abroad = digits.startswith("+") or re.match(metadata.international_prefix or "(?!)", digits)
    prefix = metadata.national_prefix
    if abroad or (prefix is not None and digits.startswith(prefix)):
        yield digits, False
        return
    if prefix in _CLOSED:
        yield digits, True
    if area_code:
        area = area_code.lstrip("0") if prefix == "0" else area_code
        yield f"{prefix or ''}{area}{digits}", False
