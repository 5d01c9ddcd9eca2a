"""Every endpoint, by every role, on its own, another's and no workspace's objects."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.admin.app import ENDPOINTS
from proxy.admin.endpoint import Endpoint
from proxy.admin.roles import OPERATIONS
from proxy.store import ApiRole
from tests.admin.people import PASSWORD
from tests.admin.rig import Rig, problem
from tests.admin.town import SOURCES, Town, a_dashboard, a_workflow, settled

# Who may: owner, operator, auditor, workspace administrator, support. Written apart from the
# table in the program on purpose: an endpoint that is new, or opened further, must be named
# here too.
EXPECTED = {
    "whoAmI": "OPAWS",
    "getOpenApi": "OPAWS",
    "logIn": "",
    "takeUpInvitation": "",
    "confirmEnrolment": "",
    "startOidcLogin": "",
    "finishOidcLogin": "",
    "logOut": "OPA S",
    "listOwnSessions": "OPA S",
    "revokeOwnSession": "OPA S",
    "changeOwnPassword": "OPA S",
    "renewRecoveryCodes": "OPA S",
    "listStaff": "O A",
    "inviteStaff": "O",
    "getStaff": "O A",
    "changeStaffRole": "O",
    "resetStaff": "O",
    "disableStaff": "O",
    "listKeys": "O A",
    "createKey": "O",
    "revokeKey": "O",
    "listWorkspaces": "OPAW",
    "createWorkspace": "OP",
    "getWorkspace": "OPAWS",
    "renameWorkspace": "OP",
    "suspendWorkspace": "OP",
    "resumeWorkspace": "OP",
    "deleteWorkspace": "OP",
    "listWorkspaceKeys": "OPAW",
    "createWorkspaceKey": "OP W",
    "revokeWorkspaceKey": "OP W",
    "getOidc": "OPAW",
    "putOidc": "OP",
    "removeOidc": "OP",
    "testOidc": "OP",
    "listOidcSessions": "OPAW",
    "revokeOidcSession": "OP W",
    "listTokens": "OPAWS",
    "createToken": "OP W",
    "revokeToken": "OP W",
    "listSources": "OPAWS",
    "createSource": "OP W",
    "getSource": "OPAWS",
    "editSource": "OP W",
    "rotateSource": "OP W",
    "testSource": "OP W",
    "removeSource": "OP W",
    "getPolicy": "OPAWS",
    "putPolicy": "OP",
    "clearPolicy": "OP",
    "getPolicyHistory": "OPAWS",
    "comparePolicies": "OPAWS",
    "getSourcePolicy": "OPAWS",
    "putSourcePolicy": "OP W",
    "clearSourcePolicy": "OP W",
    "getSourcePolicyHistory": "OPAWS",
    "compareSourcePolicies": "OPAWS",
    "checkStatement": "OPAWS",
    "tryPolicy": "OPAW",
    "trySourcePolicy": "OPAW",
    "listSessions": "OPAWS",
    "streamSessions": "OPAW",
    "killSession": "OP W",
    "searchAudit": "OPAW",
    "exportAudit": "OPAW",
    "verifyAudit": "OPA",
    "listWorkflows": "OPAW",
    "createWorkflow": "OP W",
    "getWorkflow": "OPAW",
    "saveWorkflow": "OP W",
    "deleteWorkflow": "OP W",
    "getWorkflowHistory": "OPAW",
    "runWorkflow": "OP W",
    "listRuns": "OPAW",
    "listWorkflowRuns": "OPAW",
    "getRun": "OPAW",
    "cancelRun": "OP W",
    "listDashboards": "OPAW",
    "createDashboard": "OP W",
    "getDashboard": "OPAW",
    "saveDashboard": "OP W",
    "deleteDashboard": "OP W",
    "getDashboardHistory": "OPAW",
    "getDashboardData": "OP W",
    "exportCsv": "OP W",
    "importCsv": "OP W",
    "listTransfers": "OPAW",
    "getTransfer": "OPAW",
    "exportContent": "OPAW",
    "importContent": "OP W",
    "exportWorkspace": "OPAW",
    "importWorkspace": "OP",
    "getWorkflowSchema": "OPAW",
    "getDashboardSchema": "OPAW",
    "askForAccess": "S",
    "listOwnGrants": "S",
    "endOwnGrant": "S",
    "createSupportToken": "S",
    "listGrants": "OPAW",
    "approveGrant": "W",
    "denyGrant": "W",
    "endGrant": "OP W",
    "getPreApproval": "OPAW",
    "putPreApproval": "W",
}
LETTERS = {
    "O": ApiRole.OWNER,
    "P": ApiRole.OPERATOR,
    "A": ApiRole.AUDITOR,
    "W": ApiRole.WORKSPACE_ADMIN,
    "S": ApiRole.SUPPORT,
}
# For who has no key yet: tests/admin/test_login.py, test_oidc.py.
OPEN = {"logIn", "takeUpInvitation", "confirmEnrolment", "startOidcLogin", "finishOidcLogin"}

POLICY = {"policy": {"version": 1, "access": "full"}}
BODIES: dict[str, Any] = {
    "createKey": {"role": "auditor", "label": "new"},
    "createWorkspace": {"name": "new"},
    "renameWorkspace": {"name": "finance"},
    "createWorkspaceKey": {"label": "new"},
    "putOidc": {
        "issuer": "https://idp.example.com",
        "client_id": "accode",
        "client_secret": "correct horse",
        "redirect_uris": ["https://console.example.com/back"],
        "claim": "groups",
        "allowed": ["admins"],
    },
    "createToken": {"label": "new"},
    "createSource": {
        "name": "new",
        "engine": "postgresql",
        "host": "db.example.com",
        "port": 5432,
        "database": "d",
        "username": "u",
        "password": "correct horse",
    },
    "editSource": {"compression": ""},
    "rotateSource": {"password": "battery staple"},
    "putPolicy": POLICY,
    "putSourcePolicy": POLICY,
    "checkStatement": {"statement": "SELECT 1"},
    "tryPolicy": POLICY,
    "trySourcePolicy": POLICY,
    "createWorkflow": {"name": "new", "document": a_workflow("orders")},
    "saveWorkflow": {"document": a_workflow("orders")},
    "runWorkflow": {},
    "createDashboard": {"name": "new", "document": a_dashboard("orders")},
    "saveDashboard": {"document": a_dashboard("orders")},
    "getDashboardData": {},
    "exportCsv": {"table": "orders"},
    "importWorkspace": {
        "name": "restored",
        "archive": {
            "format": "accode.workspace",
            "version": 1,
            "name": "finance",
            "scram_iterations": 4096,
            "policy": None,
            "sources": {},
            "workflows": {},
            "dashboards": {},
        },
    },
    "importContent": {
        "content": {
            "format": "accode.content",
            "version": 1,
            "workflows": {"moved": a_workflow("orders")},
        }
    },
    "changeOwnPassword": {"new_password": "nine blue boats"},
    "renewRecoveryCodes": {},
    "inviteStaff": {"name": "new", "role": "support"},
    "changeStaffRole": {"role": "support"},
    "askForAccess": {"workspace": "finance", "reason": "ticket 4712", "minutes": 60},
    "putPreApproval": {"minutes": 0},
}
WITH_FACTORS = {"changeOwnPassword", "renewRecoveryCodes"}
QUERIES = {
    "importCsv": {"table": "orders"},
    "comparePolicies": {"before": "{first}", "after": "{first}"},
    "compareSourcePolicies": {"before": "{second}", "after": "{second}"},
}
# What takes something away comes last, the largest thing at the very end.
LAST = (
    "deleteWorkflow",
    "deleteDashboard",
    "clearSourcePolicy",
    "clearPolicy",
    "removeOidc",
    "removeSource",
    "deleteWorkspace",
)


def may(role: ApiRole, operation: str) -> bool:
    return role in {LETTERS[letter] for letter in EXPECTED[operation].replace(" ", "")}


def in_order() -> list[Endpoint]:
    names = [endpoint.operation_id for endpoint in ENDPOINTS]
    rank = {name: 100 + LAST.index(name) if name in LAST else 0 for name in names}
    # With a new password every session is over.
    rank |= {"logOut": -1, "changeOwnPassword": 199}
    keyed = [endpoint for endpoint in ENDPOINTS if endpoint.operation_id not in OPEN]
    return sorted(keyed, key=lambda endpoint: rank[endpoint.operation_id])


async def ask(
    rig: Rig, town: Town, endpoint: Endpoint, role: ApiRole, workspace: str, of: str
) -> Any:
    """Call it on ``workspace``, with the ids that stand in the workspace ``of``."""
    person = rig.people.get(role)
    ids = town.ids[of] | {
        "staff_id": town.colleague,
        "login_id": "unknown" if person is None else person.spare,
        "grant_id": town.grants[of].get(endpoint.operation_id, ""),
    }
    if endpoint.operation_id == "revokeKey":
        ids = ids | {"key_id": town.platform_key}
    path = endpoint.path.format(workspace=workspace, **ids)
    more: dict[str, Any] = {}
    if person is not None and OPERATIONS[endpoint.operation_id].is_persons:
        more["key"] = person.token if endpoint.operation_id != "logOut" else person.spare_token
    if endpoint.is_guarded:
        shown = await rig.call("GET", endpoint.path.format(workspace=of, **town.ids[of]))
        more["headers"] = {"If-Match": shown.headers.get("etag", '"' + "0" * 32 + '"')}
    if query := QUERIES.get(endpoint.operation_id):
        more["params"] = {key: text.format(**town.versions) for key, text in query.items()}
    body = BODIES.get(endpoint.operation_id)
    if endpoint.upload:
        more["content"] = b"id,note\n1,one\n"
        more["headers"] = {"Content-Type": endpoint.upload}
    if person is not None and endpoint.operation_id in WITH_FACTORS:
        body = {"password": PASSWORD, "code": person.next_code(rig.clock)} | (body or {})
    return await rig.call(endpoint.method, path, body, role=role, **more)


def without_instance(value: dict[str, Any]) -> dict[str, Any]:
    return {key: text for key, text in value.items() if key != "instance"}


def test_every_endpoint_has_an_expectation():
    names = {endpoint.operation_id for endpoint in ENDPOINTS}
    assert names == set(EXPECTED) == set(OPERATIONS)


def test_every_endpoint_with_a_body_has_one_here():
    assert {one.operation_id for one in ENDPOINTS if one.has_body} == set(BODIES) | OPEN


@pytest.mark.parametrize("role", ApiRole)
async def test_a_role_may_what_it_may_and_nothing_else(rig: Rig, role: ApiRole):
    town = await settled(rig)
    for endpoint in in_order():
        name = endpoint.operation_id
        answer = await ask(rig, town, endpoint, role, "finance", "finance")
        if may(role, name):
            assert answer.status_code in (200, 201, 202), f"{name}: {answer.text}"
        else:
            # The same whether it is there or not: who may not ask does not learn.
            for workspace in ("finance", "sales", "unknown"):
                answer = await ask(rig, town, endpoint, role, workspace, "finance")
                problem(answer, 403, "forbidden")


@pytest.mark.parametrize(("role", "least"), [(ApiRole.WORKSPACE_ADMIN, 60), (ApiRole.SUPPORT, 35)])
async def test_another_workspaces_objects_are_not_there(rig: Rig, role: ApiRole, least: int):
    town = await settled(rig)
    tried = 0
    before = await town.picture(rig)
    for endpoint in in_order():
        if "{workspace}" not in endpoint.path or not may(role, endpoint.operation_id):
            continue
        documents = []
        places = [("sales", "sales"), ("unknown", "sales"), ("unknown", "finance")]
        if endpoint.path.count("{") > 1:
            # Its own workspace's path, with the other's ids in it.
            places.append(("finance", "sales"))
        for workspace, of in places:
            answer = await ask(rig, town, endpoint, role, workspace, of)
            documents.append(without_instance(problem(answer, 404, "not-found")))
            tried += 1
        assert documents == documents[:1] * len(documents), endpoint.operation_id
    assert tried > least
    assert await town.picture(rig) == before


async def test_an_unknown_workspace_is_not_found_for_the_platform_either(rig: Rig):
    town = await settled(rig)
    for endpoint in ENDPOINTS:
        if "{workspace}" in endpoint.path and may(ApiRole.OWNER, endpoint.operation_id):
            answer = await ask(rig, town, endpoint, ApiRole.OWNER, "unknown", "finance")
            problem(answer, 404, "not-found")


async def test_no_list_of_a_workspace_holds_anothers(rig: Rig):
    town = await settled(rig)
    foreign = [*town.ids["sales"].values(), SOURCES["sales"]]
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET" and may(ApiRole.WORKSPACE_ADMIN, endpoint.operation_id):
            answer = await ask(rig, town, endpoint, ApiRole.WORKSPACE_ADMIN, "finance", "finance")
            assert answer.status_code == 200, answer.text
            assert not [one for one in foreign if one in answer.text], endpoint.operation_id


async def test_a_key_is_no_person(rig: Rig):
    await settled(rig)
    for endpoint in in_order():
        operation = OPERATIONS[endpoint.operation_id]
        if operation.is_persons and ApiRole.OWNER in operation.roles:
            ids = {"login_id": rig.people[ApiRole.OWNER].spare}
            path, body = endpoint.path.format(**ids), BODIES.get(endpoint.operation_id)
            problem(
                await rig.call(endpoint.method, path, body, role=ApiRole.OWNER), 403, "forbidden"
            )


async def test_nobody_elses_and_no_unknown_account_or_session_is_there(rig: Rig):
    town = await settled(rig)
    before = await town.picture(rig)
    owner, other = rig.people[ApiRole.OWNER], rig.people[ApiRole.OPERATOR]
    documents = []
    for login_id in (other.spare, "unknown", "0"):
        path = f"/v1/me/sessions/{login_id}/revoke"
        answer = await rig.call("POST", path, key=owner.token)
        documents.append(without_instance(problem(answer, 404, "not-found")))
    for endpoint in in_order():
        if "{staff_id}" in endpoint.path:
            path, body = endpoint.path.format(staff_id="unknown"), BODIES.get(endpoint.operation_id)
            answer = await rig.call(endpoint.method, path, body, role=ApiRole.OWNER)
            documents.append(without_instance(problem(answer, 404, "not-found")))
    support = rig.people[ApiRole.SUPPORT].token
    for what in ("end", "tokens"):
        answer = await rig.call("POST", f"/v1/support-grants/unknown/{what}", key=support)
        documents.append(without_instance(problem(answer, 404, "not-found")))
    assert documents == documents[:1] * 9
    assert await town.picture(rig) == before


async def test_without_a_key_nothing_is_there(rig: Rig):
    town = await settled(rig)
    ids = town.ids["finance"] | {"staff_id": town.colleague, "login_id": "x", "grant_id": "x"}
    paths = [one.path.format(workspace="finance", **ids) for one in in_order()]
    for path in [*paths, "/", "/v1", "/docs", "/openapi.json", "/v1/workspaces/"]:
        for method in ("GET", "POST", "DELETE", "OPTIONS", "HEAD", "TRACE"):
            answer = await rig.call(method, path, key="")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="accode-proxy"'
