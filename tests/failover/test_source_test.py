"""``source test`` of several hosts: each with what it says that it is."""

from __future__ import annotations

import json
import subprocess
import sys

from proxy.store.failover import Endpoint
from tests.failover.cluster import Cluster, Listening, Shop
from tests.servers.ports import free_port
from tests.servers.proxy import ROOT, ProxyServer


def run(proxy: ProxyServer, shop: Shop, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "proxy.cli", "source", "test", shop.name, "orders"),
            *("--config", str(proxy.config_file), *options),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_each_host_is_shown_with_its_role(cluster: Cluster, office_proxy: ProxyServer):
    gone = Endpoint("127.0.0.1", free_port())
    hosts: list[Listening] = [gone, cluster.standby, cluster.primary]
    shop = Shop(office_proxy, cluster.primary, hosts, "read-write")
    answer = run(office_proxy, shop, "--json")
    assert answer.returncode == 0, answer.stderr
    value = json.loads(answer.stdout)
    assert value["ok"] is True
    found = {one["host"]: (one["ok"], one["role"]) for one in value["hosts"]}
    assert found == {
        str(gone): (False, ""),
        f"127.0.0.1:{cluster.standby.port}": (True, "standby"),
        f"127.0.0.1:{cluster.primary.port}": (True, "primary"),
    }
    shown = run(office_proxy, shop).stdout
    assert "no address answered" in shown
    (line,) = [line for line in shown.splitlines() if str(cluster.standby.port) in line]
    assert "standby" in line


def test_hosts_of_which_none_is_what_the_source_asks_for_fail_the_test(
    cluster: Cluster, office_proxy: ProxyServer
):
    gone = Endpoint("127.0.0.1", free_port())
    shop = Shop(office_proxy, cluster.primary, [cluster.standby, gone], "primary")
    answer = run(office_proxy, shop)
    assert answer.returncode != 0
    assert "No host of the data source is primary" in answer.stderr
    assert f"127.0.0.1:{cluster.standby.port}" in answer.stderr


def test_hosts_that_nobody_can_reach_are_each_named(cluster: Cluster, office_proxy: ProxyServer):
    hosts = [Endpoint("127.0.0.1", free_port()), Endpoint("127.0.0.1", free_port())]
    answer = run(office_proxy, Shop(office_proxy, cluster.primary, hosts), "--json")
    assert answer.returncode != 0
    assert all(str(host) in json.loads(answer.stdout)["sentence"] for host in hosts)
