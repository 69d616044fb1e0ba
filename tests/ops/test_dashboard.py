"""The dashboard that ships: loads, places its panels, asks only for metrics and labels that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.ops.promtool import DASHBOARD, announced, named, promtool, series

BOARD: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = BOARD["panels"]
QUERIES = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel.get("targets", [])
]


def labels(name: str) -> set[str]:
    """The labels of the series of one name."""
    return {
        label
        for metric in announced()
        for sample in metric.samples
        if sample.name == name
        for label in sample.labels
    }


def test_every_panel_has_its_own_id_and_place() -> None:
    """No id twice, no panel over another, none outside."""
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_data_source_and_pbx_are_chosen() -> None:
    """Two variables; every panel takes the chosen data source and says what it shows."""
    variables = {each["name"]: each for each in BOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert named(variables["pbx"]["definition"]) <= series()
    for panel in PANELS:
        if panel["type"] != "row":
            sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert {source["uid"] for source in sources} == {"${datasource}"}
            assert panel["description"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(references) == len(set(references))


@pytest.mark.parametrize(("query", "legend"), QUERIES)
def test_every_query_names_metrics_and_labels_that_exist(query: str, legend: str) -> None:
    """And those of ours that are about PBXs are about those that were chosen."""
    names = named(query)
    assert names
    assert names <= series()
    known = set().union(*(labels(name) for name in names)) | {"instance", "job"}
    used = set(re.findall(r"\{\{(\w+)\}\}", legend))
    for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query):
        used |= {label.strip() for label in group.split(",")}
    assert used <= known
    for name in names:
        if "pbx" in labels(name):
            assert f'{name}{{pbx=~"$pbx' in query, f"{name} of all PBXs"


def test_every_query_is_one(tmp_path: Path) -> None:
    """Prometheus itself reads each, as rules, with what Grafana puts in for its variables."""
    rules = [
        {"record": f"dashboard:query_{index}", "expr": expression(str(query.values[0]))}
        for index, query in enumerate(QUERIES)
    ]
    annotations = [each["expr"] for each in BOARD["annotations"]["list"]]
    rules += [{"record": "dashboard:note", "expr": expression(each)} for each in annotations]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    code, said = promtool("check", "rules", str(file))
    assert code == 0, said


def expression(query: str) -> str:
    """A query with values for Grafana's variables."""
    return query.replace("$__rate_interval", "5m").replace("$__range", "6h").replace("$pbx", "hq|branch")
