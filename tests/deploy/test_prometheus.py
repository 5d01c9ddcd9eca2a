"""Rules and dashboard: nothing is named that the running proxy does not tell."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.config.schema import MetricsConfig
from tests.deploy.files import DEPLOY, read_yaml
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer
from tests.servers.unpacked import PROMTOOL

RULES = DEPLOY / "prometheus" / "rules.yml"
RULES_TEST = DEPLOY / "prometheus" / "rules_test.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "accode-proxy.json"
NAME = re.compile(r"\baccode_proxy_[a-z0-9_]+")
MATCHED = re.compile(r"(accode_proxy_[a-z0-9_]+)\{([^}]*)\}")
# The proxy's own, whose values it knows beforehand. Prometheus adds job and instance.
MATCHER = re.compile(r'\b(state|outcome|reason|cause|leg|profile|part)=~?"([^"$]*)"')


@pytest.fixture(scope="module")
def exposition(server_folder: Path, certificates: Certificates) -> Iterator[str]:
    """What /metrics of a proxy with two workers says."""
    server = ProxyServer(server_folder / "scraped", certificates, workers={"count": 2})
    server.start()
    address = f"http://127.0.0.1:{server.metrics_port}/metrics"
    with urllib.request.urlopen(address, timeout=20) as answer:
        text = answer.read().decode()
    yield text
    server.remove()


def told(exposition: str) -> set[str]:
    """Every series name that the exposition announces."""
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE):
        names |= (
            {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
        )
    return names


def dashboard() -> Any:
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, and where it stands."""
    for group in read_yaml(RULES)["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    shown = dashboard()
    for panel in shown["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for variable in shown["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"]
    for case in read_yaml(RULES_TEST)["tests"]:
        for series in case.get("input_series", ()):
            yield case["name"], series["series"]


def test_every_metric_that_is_named_is_told(exposition: str):
    names = told(exposition)
    wrong = [
        f"{place}: {name}"
        for place, text in expressions()
        for name in NAME.findall(text)
        if name not in names
    ]
    assert not wrong
    assert sum(1 for _ in expressions()) > 100


def test_every_label_value_that_is_asked_for_is_told(exposition: str):
    wrong = []
    for place, text in expressions():
        for name, matchers in MATCHED.findall(text):
            for label, wanted in MATCHER.findall(matchers):
                for value in wanted.split("|"):
                    sample = rf'^{name}\{{[^}}]*\b{label}="{value}"'
                    if not re.search(sample, exposition, re.MULTILINE):
                        wrong.append(f"{place}: {name} {label}={value}")
    assert not wrong


def test_every_alert_says_how_grave_it_is_and_what_to_do():
    for group in read_yaml(RULES)["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("critical", "warning", "info")
            assert set(rule["annotations"]) == {"summary", "description"}


def test_every_alert_is_tested_to_fire_and_to_be_silent():
    alerts = {rule["alert"] for group in read_yaml(RULES)["groups"] for rule in group["rules"]}
    fires: set[str] = set()
    silent: set[str] = set()
    for case in read_yaml(RULES_TEST)["tests"]:
        for test in case["alert_rule_test"]:
            (fires if test["exp_alerts"] else silent).add(test["alertname"])
    assert fires == alerts
    assert silent >= alerts - {"AccodeProxyAbsent"}


def promtool(*arguments: str, folder: Path = DEPLOY / "prometheus") -> str:
    if not PROMTOOL.is_there:
        pytest.skip("Debian sid's promtool is missing: see what `./run test` says first")
    done = subprocess.run(
        [*PROMTOOL.command("bin/promtool"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_runs_the_tests_of_the_rules():
    assert "SUCCESS" in promtool("test", "rules", RULES_TEST.name)


def test_promtool_takes_the_configuration_with_its_rules(tmp_path: Path):
    # The file names the rules where compose.yaml puts them.
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert "/etc/prometheus/rules.yml" in text
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/prometheus/rules.yml", str(RULES)))
    shown = promtool("check", "config", "--lint=all", "prometheus.yml", folder=tmp_path)
    assert "26 rules found" in shown


def test_prometheus_asks_the_port_that_the_proxy_has():
    (job,) = read_yaml(DEPLOY / "prometheus" / "prometheus.yml")["scrape_configs"]
    assert job["job_name"] == "accode-proxy"
    assert job["static_configs"][0]["targets"] == [f"proxy:{MetricsConfig().port}"]


def test_the_dashboard_asks_only_the_data_source_that_is_chosen():
    shown = dashboard()
    numbers = [panel["id"] for panel in shown["panels"]]
    assert len(numbers) == len(set(numbers))
    sources = {
        target["datasource"]["uid"]
        for panel in shown["panels"]
        for target in panel.get("targets", ())
    }
    assert sources == {"${datasource}"}


def test_no_two_panels_lie_on_each_other():
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
