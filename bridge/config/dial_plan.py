"""The section `dial_plan`: how a PBX writes numbers. Changes no number itself: see core/dial_plan.py."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bridge.config.commands import NumberPattern
from bridge.config.types import MisplacedError, Section, shaped
from bridge.core.dial_plan import DialPlan, country


def _existing(country_code: int) -> int:
    if country(country_code) is None:
        raise ValueError("no country has this code: 49 for Germany, 1 for the USA")
    return country_code


class DialPlanSection(Section):
    """How numbers are written. Without a country code they are published as the PBX shows them."""

    country_code: Annotated[int, Field(ge=1, le=999), AfterValidator(_existing)] | None = None
    area_code: Annotated[str, shaped("[0-9]{0,6}", "digits, in quotes")] = ""
    trunk_prefix: Annotated[str, shaped("[0-9]{0,6}", "digits, in quotes")] = ""
    internal: tuple[NumberPattern, ...] = Field((), strict=False)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.area_code and self.country_code is None:
            raise MisplacedError("needs country_code; set it too", "area_code")
        if self.area_code and not self.trunk_prefix:
            raise MisplacedError("needs trunk_prefix, to tell local numbers from extensions", "area_code")
        return self

    def to_plan(self) -> DialPlan:
        """The plan as the core knows it."""
        return DialPlan(**self.model_dump())
