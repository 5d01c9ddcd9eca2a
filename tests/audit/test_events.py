import json
from typing import Any

import pytest

from proxy.audit import events, findings
from proxy.audit.chain import GENESIS, Chain
from proxy.audit.encode import encode_event
from proxy.audit.ocsf import Event
from tests.audit.rig import KEY, NOON, context
from tests.audit.schema import problems

SESSION = context()
ADMIN: dict[str, Any] = {"actor": "root", "workspace_id": "w-1"}

EVERY_EVENT: list[tuple[int, int, Event]] = [
    (6005, 3, events.session_opened(SESSION, auth_method="scram-sha-256")),
    (6005, 3, events.session_failed(SESSION, reason="source_refused", detail="no", code="53300")),
    (3002, 2, events.session_closed(SESSION, reason="client_left", duration=1.5)),
    (
        3002,
        1,
        events.authenticated(
            workspace_id="w-1",
            workspace="finance",
            token_id="tok-1",
            client_ip="192.0.2.7",
            client_port=1,
            protocol="scram-sha-256",
        ),
    ),
    (
        3002,
        1,
        events.authenticated(
            workspace_id="",
            workspace="nobody",
            token_id="",
            client_ip="192.0.2.7",
            client_port=1,
            reason="unknown workspace",
        ),
    ),
    (6002, 99, events.chains_seen({"worker-1": (12, "ab" * 32)})),
    (6005, 10, events.credential_unsealed(SESSION, credential_version=4)),
    (
        6005,
        9,
        events.credential_stored(
            source_id="s", source="orders", engine="postgresql", credential_version=1, **ADMIN
        ),
    ),
    (
        3004,
        3,
        events.entity_changed(
            events.UPDATE, entity_type="source", entity_id="s", name="orders", **ADMIN
        ),
    ),
    (3001, 1, events.token_changed("create", token_id="tok-1", label="", **ADMIN)),
    (
        3005,
        2,
        events.access_changed(user_id="u", privileges=["read"], is_granted=False, **ADMIN),
    ),
    (
        6003,
        4,
        events.api_called(
            events.DELETE, actor="root", ip="::1", port=2, operation="DELETE /x", status_code=404
        ),
    ),
    (
        6003,
        2,
        events.api_called(
            events.READ,
            actor="API key k",
            ip="192.0.2.1",
            port=2,
            operation="getSource",
            status_code=200,
            workspace_id="w",
            named={"workspace": "finance"},
            role="auditor",
            request_id="5a3c1b1e",
        ),
    ),
    (
        3001,
        1,
        events.api_key_changed(
            "create", actor="root", workspace_id="", key_id="k", label="ci", role="owner"
        ),
    ),
    (2004, 1, findings.finding("Odd", "Something odd", details={"count": 3})),
    (6002, 3, events.proxy_started("0.1.0", "i")),
    (6002, 4, events.proxy_stopped("0.1.0", "i", reason="SIGTERM")),
]


@pytest.mark.parametrize(("class_uid", "activity", "event"), EVERY_EVENT)
def test_every_event_is_valid_ocsf(class_uid, activity, event):
    record = json.loads(encode_event(event, 5, GENESIS, NOON))
    assert problems(record) == []
    assert (record["class_uid"], record["activity_id"]) == (class_uid, activity)
    assert record["metadata"]["sequence"] == 5


def test_a_refused_login_is_denied_and_an_accepted_one_allowed():
    accepted, refused = EVERY_EVENT[3][2], EVERY_EVENT[4][2]
    assert (accepted.action, accepted.status) == (1, 1)
    assert (refused.action, refused.status) == (2, 2)


def test_headers_and_checkpoints_are_valid_ocsf_too():
    chain = Chain(KEY, "instance", 0, GENESIS)
    for line in (chain.header("audit-20270115-0001.jsonl", "", NOON), chain.checkpoint(NOON)):
        assert problems(json.loads(line)) == []
