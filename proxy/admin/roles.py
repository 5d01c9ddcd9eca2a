"""Who may call what: the one table. What is not in it cannot be called, and does not start.

An entry is named by its endpoint's ``operationId``. A key of a workspace reaches that
workspace alone: ``route`` looks it up before an endpoint is asked, and another one's name
is answered exactly as one that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.store import ApiRole

OWNER, OPERATOR = ApiRole.OWNER, ApiRole.OPERATOR
AUDITOR, WORKSPACE_ADMIN = ApiRole.AUDITOR, ApiRole.WORKSPACE_ADMIN

EVERYBODY: Final = frozenset(ApiRole)
PLATFORM: Final = frozenset({OWNER, OPERATOR, AUDITOR})
OPERATORS: Final = frozenset({OWNER, OPERATOR})
OWNERS: Final = frozenset({OWNER})
CHANGERS: Final = frozenset({OWNER, OPERATOR, WORKSPACE_ADMIN})
"""All but those who only look."""


@dataclass(frozen=True, slots=True)
class Operation:
    """``is_creation``: takes an Idempotency-Key. ``shown_once``: the answer's field that holds a
    secret, which is not kept with the answer of a call that names itself.
    """

    roles: frozenset[ApiRole]
    is_creation: bool = False
    shown_once: str = ""


OPERATIONS: Final[dict[str, Operation]] = {
    "whoAmI": Operation(EVERYBODY),
    "getOpenApi": Operation(EVERYBODY),
    # Keys of the platform: who may make one may make any, so owners alone.
    "listKeys": Operation(OWNERS | {AUDITOR}),
    "createKey": Operation(OWNERS, is_creation=True, shown_once="secret"),
    "revokeKey": Operation(OWNERS),
    "listWorkspaces": Operation(EVERYBODY),
    "createWorkspace": Operation(OPERATORS, is_creation=True),
    "getWorkspace": Operation(EVERYBODY),
    "renameWorkspace": Operation(OPERATORS),
    "suspendWorkspace": Operation(OPERATORS),
    "resumeWorkspace": Operation(OPERATORS),
    "deleteWorkspace": Operation(OPERATORS),
    "listWorkspaceKeys": Operation(EVERYBODY),
    "createWorkspaceKey": Operation(CHANGERS, is_creation=True, shown_once="secret"),
    "revokeWorkspaceKey": Operation(CHANGERS),
    "listTokens": Operation(EVERYBODY),
    "createToken": Operation(CHANGERS, is_creation=True, shown_once="secret"),
    "revokeToken": Operation(CHANGERS),
    "listSources": Operation(EVERYBODY),
    "createSource": Operation(CHANGERS, is_creation=True),
    "getSource": Operation(EVERYBODY),
    "editSource": Operation(CHANGERS),
    "rotateSource": Operation(CHANGERS),
    "testSource": Operation(CHANGERS),
    "removeSource": Operation(CHANGERS),
    # A workspace's policy opens private networks to it and bounds what it may use, so it is
    # the platform's; a source's policy only narrows that.
    "getPolicy": Operation(EVERYBODY),
    "putPolicy": Operation(OPERATORS),
    "clearPolicy": Operation(OPERATORS),
    "getPolicyHistory": Operation(EVERYBODY),
    "comparePolicies": Operation(EVERYBODY),
    "getSourcePolicy": Operation(EVERYBODY),
    "putSourcePolicy": Operation(CHANGERS),
    "clearSourcePolicy": Operation(CHANGERS),
    "getSourcePolicyHistory": Operation(EVERYBODY),
    "compareSourcePolicies": Operation(EVERYBODY),
    "checkStatement": Operation(EVERYBODY),
    "tryPolicy": Operation(EVERYBODY),
    "trySourcePolicy": Operation(EVERYBODY),
    "listSessions": Operation(EVERYBODY),
    "streamSessions": Operation(EVERYBODY),
    "killSession": Operation(CHANGERS),
    "searchAudit": Operation(EVERYBODY),
    "exportAudit": Operation(EVERYBODY),
    "verifyAudit": Operation(PLATFORM),
    "listWorkflows": Operation(EVERYBODY),
    "createWorkflow": Operation(CHANGERS, is_creation=True),
    "getWorkflow": Operation(EVERYBODY),
    "saveWorkflow": Operation(CHANGERS),
    "deleteWorkflow": Operation(CHANGERS),
    "getWorkflowHistory": Operation(EVERYBODY),
    "runWorkflow": Operation(CHANGERS, is_creation=True),
    "listRuns": Operation(EVERYBODY),
    "listWorkflowRuns": Operation(EVERYBODY),
    "getRun": Operation(EVERYBODY),
    "cancelRun": Operation(CHANGERS),
    "listDashboards": Operation(EVERYBODY),
    "createDashboard": Operation(CHANGERS, is_creation=True),
    "getDashboard": Operation(EVERYBODY),
    "saveDashboard": Operation(CHANGERS),
    "deleteDashboard": Operation(CHANGERS),
    "getDashboardHistory": Operation(EVERYBODY),
    # What is in the data sources is the workspace's: who only looks after the platform reads
    # documents and runs, and no rows.
    "getDashboardData": Operation(CHANGERS),
    "exportCsv": Operation(CHANGERS),
    "importCsv": Operation(CHANGERS),
    "exportContent": Operation(EVERYBODY),
    "importContent": Operation(CHANGERS, is_creation=True),
    "exportWorkspace": Operation(EVERYBODY),
    "importWorkspace": Operation(OPERATORS, is_creation=True),
    "getWorkflowSchema": Operation(EVERYBODY),
    "getDashboardSchema": Operation(EVERYBODY),
}
