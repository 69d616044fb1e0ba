"""What the chart renders, with Helm 3 and Helm 4, as objects."""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.tools import CHART, HERE, Helm, Object, RefusedError, kinds, objects, only
from tests.helm.values import EXAMPLES, MQTT, SETS, pbx, values


@pytest.mark.parametrize("name", SETS)
def test_lint_and_both_helms_agree(helm: Helm, name: str, tmp_path: Path) -> None:
    """Strict lint of both is clean; both render the same objects, and always the same text."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(SETS[name]))
    lint = (helm.program, "lint", "--strict", str(CHART), "-f", str(file))
    done = subprocess.run(lint, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "[WARNING]" in done.stdout) == (0, False), done.stdout
    four = helm.inside("inside_helm4.py", "lint", str(CHART), given=SETS[name])
    assert four["version"].startswith("v4.")
    assert [one["error"] for one in four["messages"] if one["severity"] > 1] == []

    text = helm.text(SETS[name])
    assert text == helm.text(SETS[name])
    ours, theirs = objects(text), helm.four(SETS[name])
    for one in ours + theirs:
        if one["kind"] == "PodDisruptionBudget":  # Helm 4's library renders for another Kubernetes by default
            one["spec"].pop("unhealthyPodEvictionPolicy", None)
    assert sorted(map(identity, ours)) == sorted(map(identity, theirs))
    assert {identity(one): one for one in ours} == {identity(one): one for one in theirs}


def identity(one: Object) -> str:
    """Kind and name."""
    return f"{one['kind']}/{one['metadata']['name']}"


@pytest.mark.parametrize("name", SETS)
def test_kubernetes_takes_every_object(helm: Helm, name: str) -> None:
    """By the schemas of the oldest and the newest Kubernetes, strictly; what it does not define is known."""
    for version in ("1.25", "1.30", "newest"):
        rendered = helm.three(SETS[name], "--kube-version", "1.37" if version == "newest" else version)
        found = helm.inside("inside_validate.py", version, given=rendered)
        assert set(found) <= {"no schema: PodMonitor", "no schema: PrometheusRule"}


def test_the_judge_sees_a_slip(helm: Helm) -> None:
    """A misspelt key is one, so that silence above means something."""
    one = only(helm.three(values()), "StatefulSet")
    one["spec"]["replica"] = one["spec"].pop("replicas")

    assert "'replica' was unexpected" in helm.inside("inside_validate.py", "newest", given=[one])[0]


def test_shared(helm: Helm) -> None:
    """One StatefulSet whose pods know their share by their names."""
    rendered = helm.three(values(pbx("hq"), pbx("branch"), shards=3))

    assert kinds(rendered) == {
        "ConfigMap": 1,
        "NetworkPolicy": 1,
        "Pod": 1,
        "Service": 1,
        "ServiceAccount": 1,
        "StatefulSet": 1,
    }
    spec = only(rendered, "StatefulSet")["spec"]
    assert (spec["replicas"], spec["podManagementPolicy"]) == (3, "Parallel")
    assert spec["serviceName"] == only(rendered, "Service")["metadata"]["name"]
    container = spec["template"]["spec"]["containers"][0]
    assert container["args"] == ["run", "-c", "/etc/innovaphone-mqtt/config/config.yaml", "--shard", "auto/3"]
    assert container["image"] == "innovaphone-mqtt:0.1.0"


def test_dedicated(helm: Helm) -> None:
    """A StatefulSet for each PBX, which has its own configuration and secrets only, and a name of its own."""
    rendered = helm.three(values(pbx("hq"), pbx("a_b"), pbx("a-b"), placement="dedicated"))

    assert kinds(rendered)["StatefulSet"] == kinds(rendered)["ConfigMap"] == kinds(rendered)["Pod"] == 3
    sets = [one for one in rendered if one["kind"] == "StatefulSet"]
    assert {one["spec"]["replicas"] for one in sets} == {1}
    served = {one["spec"]["template"]["spec"]["containers"][0]["args"][-1]: one for one in sets}
    assert set(served) == {"hq", "a_b", "a-b"}
    hq = served["hq"]["spec"]["template"]["spec"]
    sources = next(one for one in hq["volumes"] if one["name"] == "secrets")["projected"]["sources"]
    assert [one["secret"]["name"] for one in sources] == ["broker", "pbx-hq"]
    names = [one["metadata"]["name"] for one in sets]
    assert (len(set(names)), "rel-innovaphone-mqtt-hq" in names) == (3, True)


def test_one_more_pbx_leaves_the_others_alone(helm: Helm) -> None:
    """Where each has its own, nothing of the others changes, so that no pod of theirs starts anew."""
    one = {identity(each): each for each in helm.three(values(pbx("hq"), placement="dedicated"))}
    two = {identity(each): each for each in helm.three(values(pbx("hq"), pbx("new"), placement="dedicated"))}

    assert {name: two[name] for name in one} == one


def test_a_changed_configuration_starts_pods_anew(helm: Helm) -> None:
    """By the checksum of what the program reads; the same values keep it."""

    def sums(**more: Any) -> str:
        template = only(helm.three(values(**more)), "StatefulSet")["spec"]["template"]
        checksum: str = template["metadata"]["annotations"]["checksum/config"]
        return checksum

    assert sums() == sums(resources={"limits": {"memory": "1Gi"}})
    assert sums() != sums(config={"user_id": "e164"})


@pytest.mark.parametrize("kind", ["StatefulSet", "Pod"])
@pytest.mark.parametrize("name", SETS)
def test_pods_may_do_little(helm: Helm, name: str, kind: str) -> None:
    """No root, no token, nothing to write but state and /tmp, secrets for their group only."""
    for one in helm.three(SETS[name]):
        if one["kind"] != kind:
            continue
        spec = one["spec"]["template"]["spec"] if kind == "StatefulSet" else one["spec"]
        assert spec["automountServiceAccountToken"] is False
        secured = spec["securityContext"]
        assert (secured["runAsNonRoot"], secured["runAsUser"], secured["fsGroup"]) == (True, 65532, 65532)
        assert secured["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        secured = container["securityContext"]
        assert (secured["allowPrivilegeEscalation"], secured["readOnlyRootFilesystem"]) == (False, True)
        assert secured["capabilities"] == {"drop": ["ALL"]}
        secrets = next(each for each in spec["volumes"] if each["name"] == "secrets")
        assert secrets["projected"]["defaultMode"] == 0o440
        assert {each["name"] for each in container["volumeMounts"]} <= {
            each["name"] for each in spec["volumes"]
        } | {"state"}


def test_probes(helm: Helm) -> None:
    """Life is that the process moves; readiness is that the links are up; on a port that no policy opens."""
    rendered = helm.three(values())
    container = only(rendered, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")
    }

    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert {container[f"{name}Probe"]["httpGet"]["port"] for name in paths} == {"probes"}
    assert container["ports"] == [
        {"name": "http", "containerPort": 9642, "protocol": "TCP"},
        {"name": "probes", "containerPort": 9643, "protocol": "TCP"},
    ]
    served = yaml.safe_load(only(rendered, "ConfigMap")["data"]["config.yaml"])["http"]
    assert served == {"listen": "0.0.0.0:9642", "probes": "0.0.0.0:9643"}


@pytest.mark.parametrize("kind", ["none", "emptyDir", "claim"])
def test_state(helm: Helm, kind: str) -> None:
    """Nowhere, with the pod, or in a volume that outlives it."""
    spec = only(helm.three(values(state={"kind": kind, "size": "2Gi"})), "StatefulSet")["spec"]
    pod = spec["template"]["spec"]
    mounted = [each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] == "state"]
    volumes = [each for each in pod["volumes"] if each["name"] == "state"]
    claims = [
        each["spec"]["resources"]["requests"]["storage"] for each in spec.get("volumeClaimTemplates", [])
    ]

    assert mounted == ([] if kind == "none" else ["/var/lib/innovaphone-mqtt"])
    assert volumes == ([{"name": "state", "emptyDir": {"sizeLimit": "2Gi"}}] if kind == "emptyDir" else [])
    assert claims == (["2Gi"] if kind == "claim" else [])


def test_the_network_is_small(helm: Helm) -> None:
    """DNS, the PBX by its address or the given peers, the broker; in come only questions for metrics."""
    rendered = helm.three(EXAMPLES["dedicated"])
    spec = only(rendered, "NetworkPolicy", "rel-innovaphone-mqtt-hq")["spec"]
    allowed = [
        (rule["to"][0].get("ipBlock", {}).get("cidr"), [each["port"] for each in rule["ports"]])
        for rule in spec["egress"]
    ]
    assert allowed == [
        (None, [53, 53]),
        ("192.0.2.1/32", [443]),
        ("2001:db8::1/128", [8443]),
        ("192.0.2.7/32", [8443]),
    ]
    assert [each["port"] for each in spec["ingress"][0]["ports"]] == ["http"]
    assert spec["ingress"][0]["from"][0]["namespaceSelector"]
    labels = only(rendered, "Pod", "rel-innovaphone-mqtt-hq-test")["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()


def test_nobody_is_let_in_who_is_not_named(helm: Helm) -> None:
    """The policy is on by default and opens no port; the old way is to switch it off."""
    assert only(helm.three(values()), "NetworkPolicy")["spec"]["ingress"] == []
    notes = helm.files(values())["innovaphone-mqtt/templates/NOTES.txt"]
    assert "Nobody may request metrics" in notes
    prometheus = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    policy = {"metricsFrom": prometheus}
    (rule,) = only(helm.three(values(networkPolicy=policy)), "NetworkPolicy")["spec"]["ingress"]
    assert rule == {"ports": [{"protocol": "TCP", "port": "http"}], "from": prometheus}
    off = values(networkPolicy={"enabled": False}, podMonitor={"enabled": True})
    assert "NetworkPolicy" not in kinds(helm.three(off))


@pytest.mark.parametrize(("given", "expected"), [({}, None), ({"hostUsers": False}, False)])
def test_users_of_the_node(helm: Helm, given: dict[str, Any], expected: bool | None) -> None:  # noqa: FBT001  (a parameter of the test)
    """As the cluster has it, or users of the pod's own; for the bridge and its test."""
    rendered = helm.three(values(**given))
    pods = (only(rendered, "StatefulSet")["spec"]["template"]["spec"], only(rendered, "Pod")["spec"])
    assert [pod.get("hostUsers") for pod in pods] == [expected] * 2


def test_a_pod_cannot_fill_its_node(helm: Helm) -> None:
    """Storage has a limit, with room for what is kept for the broker."""
    limits = only(helm.three(values()), "StatefulSet")["spec"]["template"]["spec"]["containers"][0][
        "resources"
    ]
    assert limits["limits"]["ephemeral-storage"] == "2Gi"


@pytest.mark.parametrize(
    ("url", "port", "expected"),
    [
        ("mqtt://broker.example", 0, 1883),
        ("wss://broker.example/mqtt", 0, 443),
        ("mqtts://[2001:db8::2]:2883", 0, 2883),
        ("mqtts://broker.example", 30883, 30883),
        ("mqtts://[2001:db8::2]", 30883, 30883),
    ],
)
def test_the_port_of_the_broker(helm: Helm, url: str, port: int, expected: int) -> None:
    """That of the URL, of its scheme, or the one that is given."""
    policy = {"enabled": True, "brokerPort": port}
    rendered = helm.three(values(mqtt={**MQTT, "url": url, "insecure": True}, networkPolicy=policy))
    rule = only(rendered, "NetworkPolicy")["spec"]["egress"][-1]

    assert rule["ports"] == [{"protocol": "TCP", "port": expected}]
    assert rule.get("to", [{}])[0].get("ipBlock", {}).get("cidr") == (
        "2001:db8::2/128" if "[" in url else None
    )


def test_a_broker_and_its_standby(helm: Helm) -> None:
    """The program gets both, and may reach both."""
    urls = ["mqtts://a.example", "wss://b.example/mqtt"]
    more = {"networkPolicy": {"enabled": True}}
    rendered = helm.three(values(mqtt={**MQTT, "url": "", "urls": urls, "return_after_s": 30}, **more))
    written = yaml.safe_load(only(rendered, "ConfigMap")["data"]["config.yaml"])["mqtt"]
    ports = only(rendered, "NetworkPolicy")["spec"]["egress"][-1]["ports"]

    assert (written["urls"], written["return_after_s"], written.get("url")) == (urls, 30, None)
    assert [port["port"] for port in ports] == [443, 8883]


def test_a_budget_only_where_it_makes_sense(helm: Helm) -> None:
    """Not for a single pod, where it would block every drain."""
    budget = {"enabled": True}
    assert "PodDisruptionBudget" not in kinds(helm.three(values(podDisruptionBudget=budget)))
    assert "PodDisruptionBudget" not in kinds(
        helm.three(values(podDisruptionBudget=budget, placement="dedicated"))
    )
    rendered = helm.three(values(podDisruptionBudget=budget, shards=2))
    assert only(rendered, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_monitors(helm: Helm) -> None:
    """A PodMonitor for the bridge's pods, alerts and dashboard as the files have them, braces and all."""
    more = {
        "podMonitor": {"enabled": True, "labels": {"release": "prom"}},
        "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
        "prometheusRule": {"enabled": True},
    }
    rendered = helm.three(values(**more, dashboard={"enabled": True}))
    monitor = only(rendered, "PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prom"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "30s", "scrapeTimeout": "10s"}
    pods = only(rendered, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= pods.items()
    test_pod = only(rendered, "Pod")["metadata"]["labels"]
    assert not monitor["spec"]["selector"]["matchLabels"].items() <= test_pod.items()
    alerts = objects((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))[0]
    assert only(rendered, "PrometheusRule")["spec"] == alerts
    dashboard = only(rendered, "ConfigMap", "rel-innovaphone-mqtt-dashboard")
    assert json.loads(dashboard["data"]["innovaphone-mqtt.json"]) == json.loads(
        (CHART / "files" / "dashboard.json").read_text(encoding="utf-8")
    )
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_everything_people_add(helm: Helm) -> None:
    """It arrives where it belongs."""
    rendered = helm.three(EXAMPLES["dedicated"])
    first = only(rendered, "StatefulSet", "rel-innovaphone-mqtt-hq")
    template = first["spec"]["template"]
    assert all(one["metadata"]["labels"]["team"] == "telephony" for one in rendered)
    assert template["metadata"]["labels"]["zone"] == "inner"
    assert template["metadata"]["annotations"]["example.org/note"] == "yes"
    assert first["metadata"]["annotations"]["owner"] == "telephony"
    added = (
        *("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints"),
        "priorityClassName",
    )
    assert {name: template["spec"][name] for name in added} == {
        name: EXAMPLES["dedicated"][name] for name in added
    }
    container = template["spec"]["containers"][0]
    assert container["env"] == [{"name": "TZ", "value": "UTC"}]
    assert "/vault/secrets" in {each["mountPath"] for each in container["volumeMounts"]}
    assert container["image"].startswith("registry.example/innovaphone-mqtt@sha256:")


def test_notes_say_what_to_do(helm: Helm) -> None:
    """Secrets, how to look, how to try, how to listen."""
    notes = helm.files(values(pbx("hq", passwordKey="hq-password")))["innovaphone-mqtt/templates/NOTES.txt"]

    assert "1 PBX in 1 shard." in notes
    assert "kubectl -n phones create secret generic broker --from-file=password=broker.secret" in notes
    assert "kubectl -n phones create secret generic pbx-hq --from-file=hq-password=hq.secret" in notes
    assert "helm -n phones test rel --logs" in notes


@pytest.mark.parametrize("placement", ["shared", "dedicated"])
def test_an_upgrade_is_possible(helm: Helm, placement: str) -> None:
    """What Kubernetes never lets change is as it was in 0.1.0."""
    before = objects((HERE / "previous" / f"0.1.0-{placement}.yaml").read_text(encoding="utf-8"))[0]
    name = "rel-innovaphone-mqtt" + ("-hq" if placement == "dedicated" else "")
    if placement == "dedicated":  # 0.1.0 took TLS that did nothing
        with pytest.raises(RefusedError, match="pbxs: south_: tls: has no effect with http://"):
            helm.three(before)
        del before["pbxs"][1]["tls"]
    spec = only(helm.three(before), "StatefulSet", name)["spec"]

    assert spec["serviceName"] == "rel-innovaphone-mqtt"
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "innovaphone-mqtt",
        "app.kubernetes.io/instance": "rel",
        "app.kubernetes.io/component": "bridge",
        "innovaphone-mqtt/unit": "shared" if placement == "shared" else "pbx-hq",
    }
    claims = [(each["metadata"]["name"], each["spec"]) for each in spec.get("volumeClaimTemplates", [])]
    once = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    assert claims == ([("state", {**once, "storageClassName": "fast"})] if placement == "dedicated" else [])


def test_names_stay_short_enough(helm: Helm) -> None:
    """With the longest names a StatefulSet has at most 52 characters, a label 63; releases stay apart."""
    long = pbx("p" * 28)
    names = set()
    for release in ("r" * 52 + "1", "r" * 52 + "2"):
        rendered = helm.three(values(long, placement="dedicated", fullnameOverride=release))
        name = only(rendered, "StatefulSet")["metadata"]["name"]
        assert len(name) <= 52
        names.add(name)
        labels = only(rendered, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
        assert max(map(len, labels.values())) <= 63
    assert len(names) == 2


def test_the_package(helm: Helm, tmp_path: Path) -> None:
    """`helm package` takes schema, README and templates along, and nothing that is only for tests."""
    subprocess.run(
        (helm.program, "package", str(CHART), "-d", str(tmp_path)),
        check=True,
        capture_output=True,
        timeout=60,
    )
    with tarfile.open(tmp_path / "innovaphone-mqtt-0.1.0.tgz") as package:
        packed = {name.removeprefix("innovaphone-mqtt/") for name in package.getnames()}

    assert {"values.schema.json", "README.md", "templates/NOTES.txt", "templates/tests/check.yaml"} <= packed
    assert {"files/alerts.yaml", "files/dashboard.json"} <= packed
    assert not any(each.startswith("ci") for each in packed)
