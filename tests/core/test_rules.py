"""Which users are shown: the first rule that fits decides, and each field of a rule counts."""

import pytest

from bridge.core.records import Group
from bridge.core.rules import Rule, selects
from tests.core.builders import user

ANNA = user(
    "g", "Anna", number="21", type="ep", groups=(Group("sales", active=True), Group("all", active=False))
)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(),
        Rule(name="Ann?"),
        Rule(number="2*"),
        Rule(short_name="[ab]nna"),
        Rule(type="ep"),
        Rule(group="s*"),
        Rule(group="sales", active=True),
        Rule(group="all", active=False),
        Rule(active=False),
    ],
)
def test_a_rule_fits(rule: Rule) -> None:
    """All the fields that are given; `active` says something about a group only."""
    assert rule.matches(ANNA)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(name="anna"),
        Rule(number="3*"),
        Rule(short_name="a"),
        Rule(type="gw"),
        Rule(group="support"),
        Rule(group="all", active=True),
        Rule(group="sales", active=False),
        Rule(name="Anna", number="9"),
    ],
)
def test_a_rule_does_not_fit(rule: Rule) -> None:
    """One field that differs is enough; upper and lower case differ too."""
    assert not rule.matches(ANNA)


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ((), True),
        ((Rule(name="B*"),), False),
        ((Rule(exclude=True, name="B*"),), True),
        ((Rule(exclude=True, name="B*"), Rule(name="C*")), False),
        ((Rule(exclude=True, number="21"), Rule(name="A*")), False),
        ((Rule(name="A*"), Rule(exclude=True, number="21")), True),
    ],
)
def test_the_first_rule_that_fits_decides(rules: tuple[Rule, ...], shown: bool) -> None:  # noqa: FBT001  (a case)
    """Without one, only a list of nothing but exclusions lets a user in."""
    assert selects(rules, ANNA) is shown
