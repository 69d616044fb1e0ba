"""Values for the tests."""

from typing import Any

import yaml

from tests.helm.tools import CHART

MQTT = {"url": "mqtts://broker.example", "username": "bridge", "existingSecret": "broker"}


def pbx(name: str = "hq", **changes: Any) -> dict[str, Any]:
    """A PBX with its Secret."""
    section = {"url": "https://pbx.example", "username": "mqtt-bridge", "session_user": "API"}
    return {"name": name, **section, "existingSecret": f"pbx-{name.strip('_').replace('_', '-')}", **changes}


def values(*pbxs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Values with the least that is needed."""
    return {"mqtt": MQTT, "pbxs": list(pbxs or (pbx(),)), **more}


def example(name: str) -> dict[str, Any]:
    """The values of an example in the chart's folder `ci`."""
    loaded: dict[str, Any] = yaml.safe_load(
        (CHART / "ci" / f"{name}-values.yaml").read_text(encoding="utf-8")
    )
    return loaded


EXAMPLES = {name: example(name) for name in ("shared", "dedicated")}


SETS = {
    "least": values(),
    "shards": values(pbx("hq"), pbx("branch"), shards=3, podDisruptionBudget={"enabled": True}),
    "no state": values(state={"kind": "none"}, tests={"enabled": False}, serviceAccount={"create": False}),
    "claim": values(state={"kind": "claim"}),
    "pinned": values(mqtt={**MQTT, "tls": {"sha256": "ab" * 32}}),
    "in the cluster": values(
        pbx(url="http://pbx.example"), mqtt={**MQTT, "url": "mqtt://mosquitto", "insecure": True}
    ),
    "in the pod": values(mqtt={**MQTT, "url": "mqtt://127.0.0.1"}),
    **EXAMPLES,
}
"""What is rendered and judged by every tool."""
