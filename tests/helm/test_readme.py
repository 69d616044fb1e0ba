"""The chart's README and metadata agree with the chart."""

import yaml

from bridge import __version__
from tests.helm.tools import CHART
from tests.helm.values_table import README, START, rows, written


def test_the_table_is_that_of_the_values() -> None:
    """`python -m tests.helm.values_table` makes it anew."""
    text = README.read_text(encoding="utf-8")

    assert START in text
    assert text == written(text, CHART / "values.yaml")


def test_every_value_has_a_meaning() -> None:
    """And nested ones are listed one by one."""
    found = {name: (default, meaning) for name, default, meaning in rows(CHART / "values.yaml")}

    assert all(meaning.endswith(".") for _, meaning in found.values())
    assert found["mqtt.tls.caKey"][0] == '"ca.crt"'
    assert found["securityContext"][0].startswith('{"allowPrivilegeEscalation": false')


def test_versions_and_lists() -> None:
    """The chart installs this version of the program."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert chart["appVersion"] == __version__
