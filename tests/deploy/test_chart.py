"""The chart, rendered by Helm's own engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from proxy.config import load_config
from proxy.config.schema import MetricsConfig
from proxy.health import HealthServer
from proxy.preflight import examine
from proxy.workers.fleet import LONGEST_END
from tests.deploy.files import (
    CHART,
    LEAST_VALUES,
    accode_proxy,
    config_of,
    in_a_folder,
    lint,
    manifests,
    read_yaml,
    render,
)

PLACES = {
    "/run/secrets/accode-proxy/tls.": "tls/listener.",
    "/run/secrets/accode-proxy/local.key": "keys/local.key",
    "/var/lib/accode-proxy": ".",
    "/run/accode-proxy": "run",
}
EVERYTHING = LEAST_VALUES | {
    "replicas": 3,
    "workers": 2,
    "drainSeconds": 100,
    "preStopSeconds": 7,
    "nameOverride": "accode-proxy",
    "service": {
        "type": "LoadBalancer",
        "annotations": {"example.com/a": "b"},
        "loadBalancerSourceRanges": ["192.0.2.0/24"],
    },
    "networkPolicy": {
        "enabled": True,
        "clients": [{"podSelector": {"matchLabels": {"a": "b"}}}],
        "metrics": [{"namespaceSelector": {}}],
        "admin": [{"podSelector": {"matchLabels": {"role": "console"}}}],
        "egress": [{"ports": [{"port": 5432}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "admin": {"enabled": True, "names": ["admin.example.com"]},
    "runner": {"enabled": True},
    "audit": {"storageClass": "fast"},
    "image": {"digest": "sha256:" + "a" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "high",
    "nodeSelector": {"a": "b"},
    "tolerations": [{"operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podLabels": {"team": "data"},
    "podAnnotations": {"example.com/c": "d"},
    "settings": {"limits.idle_timeout": "2h", "audit.parameters": True},
}


@pytest.fixture(scope="module")
def least() -> dict[str, dict[str, Any]]:
    return manifests(LEAST_VALUES)


@pytest.fixture(scope="module")
def everything() -> dict[str, dict[str, Any]]:
    return manifests(EVERYTHING)


def pod(found: dict[str, dict[str, Any]]) -> Any:
    return found["StatefulSet"]["spec"]["template"]["spec"]


def test_helm_lint_has_no_warning():
    report = lint(LEAST_VALUES)
    assert report["errors"] == []
    assert [entry["error"] for entry in report["messages"]] == ["icon is recommended"]


def test_by_default_there_is_what_a_cluster_without_operators_knows(least: dict[str, Any]):
    assert set(least) == {
        *("ConfigMap", "PodDisruptionBudget", "Service", "Service-pods", "ServiceAccount"),
        "StatefulSet",
    }


def test_all_that_is_optional_can_be_there(everything: dict[str, Any]):
    assert {"NetworkPolicy", "ServiceMonitor", "Service-admin"} <= set(everything)
    assert everything["NetworkPolicy"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert everything["Service"]["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert pod(everything)["containers"][0]["image"] == "accode-proxy@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"secrets": {"files": "", "tls": "t"}}, "/secrets/files"),
        ({"store": {"host": ""}}, "/store/host"),
        ({"store": {"host": 'db"\n[keys]'}}, "/store/host"),
        ({"replicas": 0}, "/replicas"),
        ({"admin": {"enabled": "yes"}}, "/admin/enabled"),
        ({"admin": {"names": ["*.example.com"]}}, "/admin/names"),
        ({"runner": {"replicas": 2}}, "replicas"),
        ({"replica": 2}, "replica"),
        ({"logLevel": "loud"}, "/logLevel"),
        ({"image": {"digest": "sha256:1"}}, "/image/digest"),
        ({"listeners": {"postgres": {"port": 80}}}, "/listeners/postgres/port"),
        ({"userId": 0}, "/userId"),
        ({"settings": {"store.url": "postgresql://"}}, "store.url"),
        ({"settings": {"limits.drain_deadline": "9m"}}, "drainSeconds"),
        ({"settings": {"limits.sessions": 1}}, "/settings/limits.sessions"),
        ({"podDisruptionBudget": {"maxUnavailable": "many"}}, "/podDisruptionBudget"),
    ],
)
def test_values_that_cannot_work_are_refused_by_name(values: dict[str, Any], word: str):
    with pytest.raises(ValueError, match=re.escape(word)):
        render(LEAST_VALUES | values)


def test_a_proxy_without_listeners_is_refused():
    listeners = {"postgres": {"enabled": False}, "mysql": {"enabled": False}}
    with pytest.raises(ValueError, match="enable postgres, mysql, or both"):
        render(LEAST_VALUES | {"listeners": listeners})


def test_the_schema_knows_every_value():
    known = json.loads((CHART / "values.schema.json").read_text())["properties"]
    assert set(read_yaml(CHART / "values.yaml")) <= set(known)


@pytest.mark.parametrize("workers", [1, 3])
def test_the_configuration_is_in_order(tmp_path: Path, workers: int):
    text = manifests(LEAST_VALUES | {"workers": workers})["ConfigMap"]["data"]["accode.toml"]
    config = config_of(in_a_folder(text, PLACES, tmp_path))
    assert not [finding.sentence for finding in examine(config) if finding.is_error]
    assert config.workers.count == workers
    assert [listener.protocol for listener in config.listeners] == ["postgres", "mysql"]


def test_other_settings_reach_the_proxy(tmp_path: Path, everything: dict[str, Any]):
    text = everything["ConfigMap"]["data"]["accode.toml"]
    given = {one["name"]: one["value"] for one in pod(everything)["containers"][0]["env"]}
    assert all(
        {one["name"]: one["value"] for one in container["env"]} == given
        for container in pod(everything)["containers"]
    )
    config = load_config(in_a_folder(text, PLACES, tmp_path), given)
    assert config.limits.idle_timeout == 7200
    assert config.audit.parameters is True


def test_one_listener_alone_is_configured_and_exposed(tmp_path: Path):
    values = LEAST_VALUES | {"listeners": {"mysql": {"enabled": False}}}
    found = manifests(values)
    config = config_of(in_a_folder(found["ConfigMap"]["data"]["accode.toml"], PLACES, tmp_path))
    assert [listener.protocol for listener in config.listeners] == ["postgres"]
    assert [port["name"] for port in found["Service"]["spec"]["ports"]] == ["postgres"]


def test_a_pod_may_drain_before_it_is_killed(everything: dict[str, Any]):
    text = everything["ConfigMap"]["data"]["accode.toml"]
    assert "drain_deadline = 100\n" in text
    grace = pod(everything)["terminationGracePeriodSeconds"]
    assert grace >= 7 + 100 + LONGEST_END
    assert pod(everything)["containers"][0]["lifecycle"]["preStop"]["exec"]["command"] == [
        "sleep",
        "7",
    ]


def test_the_probes_ask_what_the_proxy_answers(least: dict[str, Any]):
    (container,) = pod(least)["containers"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    assert {"name": "metrics", "containerPort": MetricsConfig().port} in container["ports"]
    assert HealthServer.__module__ == "proxy.health"


def test_admin_and_runner_stand_beside_the_proxy_where_they_are_asked_for(
    tmp_path: Path, everything: dict[str, Any]
):
    proxy, admin, runner = pod(everything)["containers"]
    assert "args" not in proxy
    assert (admin["args"], runner["args"]) == (["admin", "serve"], ["runner"])
    for container in (admin, runner):
        assert accode_proxy(*container["args"], "--help")
        assert container["image"] == proxy["image"]
        # A container that is not ready takes its pod off the clients' Service.
        assert "readinessProbe" not in container
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts["run"] in proxy["volumeMounts"]
        assert mounts.get("data", {"readOnly": True})["readOnly"] is True
    # What is recorded is recorded by the proxy; the runner reads no record either.
    assert "data" not in {mount["name"] for mount in runner["volumeMounts"]}
    assert admin["livenessProbe"]["exec"]["command"] == ["healthcheck", "admin"]

    text = everything["ConfigMap"]["data"]["accode.toml"]
    config = config_of(in_a_folder(text, PLACES, tmp_path))
    assert not [finding.sentence for finding in examine(config) if finding.is_error]
    service = everything["Service-admin"]
    assert service["spec"]["ports"] == [
        {"name": "admin", "port": config.admin.port, "targetPort": "admin"}
    ]
    assert admin["ports"] == [{"name": "admin", "containerPort": config.admin.port}]
    name = service["metadata"]["name"]
    assert config.admin.names == (
        *(name, f"{name}.accode", f"{name}.accode.svc", f"{name}.accode.svc.cluster.local"),
        "admin.example.com",
    )
    assert config.admin.tls_certificate == config.listeners[0].tls_certificate
    (rule,) = [
        rule
        for rule in everything["NetworkPolicy"]["spec"]["ingress"]
        if rule["ports"] == [{"protocol": "TCP", "port": "admin"}]
    ]
    assert rule["from"] == EVERYTHING["networkPolicy"]["admin"]


def test_every_container_keeps_to_the_restricted_standard(everything: dict[str, Any]):
    spec = pod(everything)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in (*spec["initContainers"], *spec["containers"]):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]


def test_what_is_mounted_is_a_volume_and_holds_every_path(least: dict[str, Any]):
    spec = pod(least)
    claims = least["StatefulSet"]["spec"]["volumeClaimTemplates"]
    volumes = {one["name"] for one in spec["volumes"]} | {one["metadata"]["name"] for one in claims}
    for container in (*spec["initContainers"], *spec["containers"]):
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    mounts = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
    text = least["ConfigMap"]["data"]["accode.toml"]
    for path in re.findall(r"[\"=](/[a-z/._-]+)", text):
        assert any(path.startswith(mount + "/") for mount in mounts), path


def test_selectors_find_the_pods_and_the_monitor_finds_the_metrics(everything: dict[str, Any]):
    labels = everything["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        everything["StatefulSet"]["spec"]["selector"]["matchLabels"],
        everything["Service"]["spec"]["selector"],
        everything["Service-pods"]["spec"]["selector"],
        everything["Service-admin"]["spec"]["selector"],
        everything["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        everything["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    monitor = everything["ServiceMonitor"]["spec"]
    assert (
        monitor["selector"]["matchLabels"].items()
        <= everything["Service-pods"]["metadata"]["labels"].items()
    )
    (port,) = everything["Service-pods"]["spec"]["ports"]
    assert monitor["endpoints"][0]["port"] == port["name"]
    assert everything["Service-pods"]["metadata"]["labels"][monitor["jobLabel"]] == "accode-proxy"


def test_secrets_are_copied_with_a_mode_that_the_proxy_takes(least: dict[str, Any]):
    (copier,) = pod(least)["initContainers"]
    assert "install -m 0600 " in copier["command"][2]
    (volume,) = [one for one in pod(least)["volumes"] if one["name"] == "secrets"]
    assert volume["emptyDir"]["medium"] == "Memory"


def test_the_notes_name_the_services():
    notes = render(LEAST_VALUES)["NOTES.txt"]
    assert "db-accode-proxy.accode.svc:6432" in notes
    assert "db-accode-proxy.accode.svc:6433" in notes
