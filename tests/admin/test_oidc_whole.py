"""Two processes of the endpoints beside a real proxy, and one login through both of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.admin.desk import BACK
from tests.admin.process import AdminProcess, run
from tests.oidc.provider import CLIENT, SECRET, Provider
from tests.servers.certificates import Certificates
from tests.servers.proxy import ProxyServer


@pytest.fixture
def nodes(
    server_folder: Path, certificates: Certificates
) -> Iterator[tuple[ProxyServer, AdminProcess, AdminProcess]]:
    settings = {
        "port": 0,
        "tls_certificate": str(certificates.certificate("server")),
        "tls_key": str(certificates.key("server")),
        "oidc_ca": str(certificates.ca),
    }
    proxy = ProxyServer(server_folder / "admin-oidc", certificates, admin=settings).start()
    one, other = AdminProcess(proxy), AdminProcess(proxy)
    yield proxy, one, other
    one.stop()
    other.stop()
    proxy.remove()


def test_a_login_begins_at_one_node_ends_at_the_other_and_is_good_at_both(
    nodes: tuple[ProxyServer, AdminProcess, AdminProcess], provider: Provider, tmp_path: Path
):
    proxy, one, other = nodes
    run(proxy, "workspace", "create", "finance")
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    run(
        proxy,
        *("admin", "oidc", "set", "finance", "--issuer", provider.issuer, "--client-id", CLIENT),
        *("--redirect-uri", BACK, "--claim", "groups", "--allow", "finance-admins"),
        *("--secret-file", str(file)),
    )
    assert run(proxy, "admin", "oidc", "test", "finance")["ok"]
    body = {"workspace": "finance", "redirect_uri": BACK}
    begun = one.http.post("/v1/oidc/start", json=body).json()
    back = provider.authorize(begun["authorization_url"])
    finish = {"login": begun["login"]} | back
    answer = other.http.post("/v1/oidc/finish", json=finish)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    assert one.http.post("/v1/oidc/finish", json=finish).status_code == 401

    for node in (one, other):
        assert node.ok(made["token"], "GET", "/v1/me")["oidc"] == "ada@example.com"
    query = "/v1/audit/records?class_uid=3002"
    items = one.ok(made["token"], "GET", query)["items"]
    (success,) = [item for item in items if item["status_id"] == 1]
    assert success["user"]["name"] == "ada@example.com"
    (listed,) = run(proxy, "admin", "oidc", "session", "list", "finance")
    assert listed["id"] == made["session_id"]
    run(proxy, "admin", "oidc", "session", "revoke", "finance", made["session_id"], "--yes")
    for node in (one, other):
        headers = {"Authorization": f"Bearer {made['token']}"}
        assert node.http.get("/v1/me", headers=headers).status_code == 401

    assert run(proxy, "audit", "verify")
    written = b"".join(one.files(proxy.folder).values())
    assert b"Administrator logout" in written
    secrets = [begun["login"], made["token"], made["device"], back["code"], back["state"], SECRET]
    assert not [one for one in (*secrets, provider.last_token) if one.encode() in written]
