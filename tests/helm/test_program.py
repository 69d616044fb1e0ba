"""What the chart renders, as the program reads it; and many PBXs."""

import base64
import gzip
import json
import resource
from pathlib import Path

import pytest

from bridge.config.file import load
from bridge.config.schema import Config
from tests.helm.tools import CHART, Helm, Object
from tests.helm.values import EXAMPLES, SETS, pbx, values

SECRETS = "/etc/innovaphone-mqtt/secrets"
LONGEST_RENDER_S = 10
LARGEST_RELEASE = 1_048_576
LARGEST_CONFIGMAP = 1_048_576


def pods_files(one: Object, folder: Path) -> None:
    """Write a file for each key of each Secret that is mounted, as a kubelet would."""
    volumes = one["spec"]["template"]["spec"]["volumes"]
    projected = next(each for each in volumes if each["name"] == "secrets")["projected"]
    for source in projected["sources"]:
        for item in source["secret"]["items"]:
            file = folder / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{source['secret']['name']}/{item['key']}\n")
            file.chmod(projected["defaultMode"])


def loaded(rendered: list[Object], folder: Path) -> dict[str, Config]:
    """The configurations that the StatefulSets' pods read, by the name of the StatefulSet."""
    configs = {}
    texts = {
        one["metadata"]["name"]: one["data"]["config.yaml"] for one in rendered if one["kind"] == "ConfigMap"
    }
    for one in rendered:
        if one["kind"] != "StatefulSet":
            continue
        name = one["metadata"]["name"]
        secrets = folder / name / "secrets"
        pods_files(one, secrets)
        vault = folder / name / "vault"
        (vault / "secrets").mkdir(parents=True)
        (vault / "secrets" / "south").write_text("from the vault")
        (vault / "secrets" / "south").chmod(0o440)
        file = folder / name / "config.yaml"
        file.write_text(texts[f"{name}-config"].replace(SECRETS, str(secrets)).replace("/vault", str(vault)))
        configs[name] = load(file)
    return configs


@pytest.mark.parametrize("name", SETS)
def test_the_program_reads_it(helm: Helm, name: str, tmp_path: Path) -> None:
    """Every configuration is good, with the files that the pod has and no other."""
    configs = loaded(helm.three(SETS[name]), tmp_path)

    served = [pbx.name for config in configs.values() for pbx in config.pbxs]
    assert sorted(served) == sorted(each["name"] for each in SETS[name]["pbxs"])
    for config in configs.values():
        assert config.mqtt.secret == "broker/password"
        assert config.http.address == ("0.0.0.0", 9642)  # noqa: S104  (in a pod)
        assert config.http.probes_address == ("0.0.0.0", 9643)  # noqa: S104  (same)
        assert (config.state_dir is None) == (SETS[name].get("state", {}).get("kind") == "none")


def test_values_arrive_as_they_were_given(helm: Helm, tmp_path: Path) -> None:
    """Secrets by their keys, TLS, large numbers, rules."""
    configs = loaded(helm.three(EXAMPLES["dedicated"]), tmp_path)
    hq = configs["rel-innovaphone-mqtt-hq"]
    (its,) = hq.pbxs
    tls = hq.mqtt.tls

    assert its.secret == "pbx-hq/password"
    assert its.endpoints == ("https://192.0.2.1/PBX0/user.soap", "https://[2001:db8::1]:8443/PBX0/user.soap")
    assert its.tls.ca_file is not None
    assert its.tls.ca_file.read_text() == "pbx-ca/ca.crt\n"
    assert [rule.group for rule in its.users] == ["hidden", "sales"]
    files = (tls.ca_file, tls.cert_file, tls.key_file)
    assert [file.read_text().strip() for file in files if file] == [
        f"broker-tls/{key}" for key in ("ca.crt", "tls.crt", "tls.key")
    ]
    assert (hq.events.max_queued, hq.mqtt.keepalive_s, hq.user_id) == (1_000_000, 60, "e164")
    assert hq.commands.allow == ("call", "clear")
    south = next(config for config in configs.values() if config.pbxs[0].name == "south_")
    assert south.pbxs[0].secret == "from the vault"
    shared = loaded(helm.three(EXAMPLES["shared"]), tmp_path)["rel-innovaphone-mqtt"]
    assert [each.secret for each in shared.pbxs] == ["pbx-hq/password", "pbx-hq/branch"]


def release_size(text: str, given: Object) -> int:
    """About what the Secret of a release holds: chart, values, manifest; compressed and base64."""
    chart = {str(each): each.read_text() for each in CHART.rglob("*") if each.is_file()}
    return len(base64.b64encode(gzip.compress(json.dumps([chart, given, text]).encode())))


@pytest.mark.parametrize("placement", ["shared", "dedicated"])
def test_a_thousand_pbxs(helm: Helm, placement: str, tmp_path: Path) -> None:
    """Rendered within seconds of work, small enough for a release, and read by the program."""
    pbxs = [pbx(f"site-{number:04}", url=f"https://pbx-{number:04}.example") for number in range(1000)]
    given = values(*pbxs, placement=placement, shards=10, networkPolicy={"enabled": True})
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = helm.text(given)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < LONGEST_RENDER_S
    assert release_size(text, given) < LARGEST_RELEASE
    if placement == "shared":
        rendered = helm.four(given)
        config = next(one for one in rendered if one["kind"] == "ConfigMap")["data"]["config.yaml"]
        assert len(config) < LARGEST_CONFIGMAP
        assert len(loaded(rendered, tmp_path)["rel-innovaphone-mqtt"].pbxs) == 1000
