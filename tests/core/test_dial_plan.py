"""Numbers as a PBX shows them, in E.164: what can be one is brought into that form, all else stays."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.dial_plan import DialPlan, country
from bridge.core.model import RemoteParty
from bridge.core.presentation import TopicClass

GERMANY = DialPlan(49, "0711", "0", ("2?",))
NO_TRUNK = DialPlan(49)
PLANS = [GERMANY, NO_TRUNK, DialPlan(1, "212", "9"), DialPlan(39), DialPlan(7, "812", "9"), DialPlan()]


@pytest.mark.parametrize(
    ("plan", "shown", "published"),
    [
        (GERMANY, "00171 123 45 67", "+491711234567"),
        (GERMANY, "000436601234567", "+436601234567"),
        (GERMANY, "0123456", "+49711123456"),
        (GERMANY, "+49 (0)711 123-456", "+49711123456"),
        (GERMANY, "+49711123456", "+49711123456"),
        (NO_TRUNK, "0711123456", "+49711123456"),
        (NO_TRUNK, "0049711123456", "+49711123456"),
        (DialPlan(1, "212", "9"), "95551234", "+12125551234"),
        (DialPlan(1, "212", "9"), "92125551234", "+12125551234"),
        (DialPlan(1, "212", "9"), "9011497111234567", "+497111234567"),
        (DialPlan(39), "0236618300", "+390236618300"),
        (DialPlan(34), "912345678", "+34912345678"),
        (DialPlan(7, "812", "9"), "93251234", "+78123251234"),
    ],
)
def test_a_number_of_the_public_network(plan: DialPlan, shown: str, published: str) -> None:
    """With a trunk prefix or without, from this town, this country or another one."""
    assert plan.e164(shown) == published


@pytest.mark.parametrize(
    ("plan", "shown"),
    [
        (GERMANY, "21"),
        (GERMANY, "0112"),
        (GERMANY, "0116117"),
        (GERMANY, "*21#"),
        (GERMANY, "0*21#"),
        (GERMANY, "0"),
        (GERMANY, ""),
        (GERMANY, "00"),
        (GERMANY, "anonymous"),
        (GERMANY, "sip:bert@example.com"),
        (GERMANY, "0" * 64),
        (GERMANY, "0999999999999999999"),
        (GERMANY, "+999123456"),
        (NO_TRUNK, "30123"),
        (NO_TRUNK, "112"),
        (DialPlan(1, "212", "9"), "9911"),
        (DialPlan(34), "21"),
        (DialPlan(), "00171 123 45 67"),
        (DialPlan(999), "0171 123 45 67"),
    ],
)
def test_what_is_none_stays_as_it_is(plan: DialPlan, shown: str) -> None:
    """Extensions, emergency and feature codes, texts, and everything without a country."""
    assert plan.e164(shown) == shown


def test_an_internal_number_stays_and_is_marked() -> None:
    """By a pattern, or because it is that of a user."""
    shown = [
        GERMANY.show(party, TopicClass.STATE)
        for party in (RemoteParty("23"), RemoteParty("0171123456", internal=True), RemoteParty("00171123456"))
    ]

    assert [(party.number, party.internal) for party in shown] == [
        ("23", True),
        ("0171123456", True),
        ("+49171123456", False),
    ]


def test_a_number_as_people_write_it() -> None:
    """Without a trunk prefix; an extension is none."""
    assert [GERMANY.written(number) for number in ("0711 / 12 34 56", "+49 711 123456", "21", "x")] == [
        "+49711123456",
        "+49711123456",
        "21",
        "x",
    ]
    assert DialPlan().written("0711 123456") == "0711 123456"


@given(
    st.sampled_from(PLANS),
    st.text("0123456789", max_size=16) | st.text("0123456789+*#- ()a", max_size=20),
    st.booleans(),
)
def test_shown_twice_it_stays_the_same(plan: DialPlan, number: str, internal: bool) -> None:  # noqa: FBT001  (given by hypothesis)
    """States are read back: an idempotent step recognises a call after a restart."""
    once = plan.show(RemoteParty(number, internal=internal), TopicClass.STATE)

    assert plan.show(once, TopicClass.EVENT) == once


@pytest.mark.parametrize(("code", "name"), [(49, "DE"), (1, "US"), (44, "GB"), (999, None), (800, None)])
def test_the_country_of_a_code(code: int, name: str | None) -> None:
    """None for what is no country, like international freephone numbers."""
    assert country(code) == name


def test_nobody_else_pays_for_it() -> None:
    """The library is not even imported where no country is configured."""
    code = (
        "import sys; import bridge.cli, bridge.app; from bridge.core.dial_plan import DialPlan;"
        "DialPlan(trunk_prefix='0').e164('0123'); print('phonenumbers' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "False"
