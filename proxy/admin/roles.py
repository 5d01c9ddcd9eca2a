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
SUPPORT = ApiRole.SUPPORT

EVERYBODY: Final = frozenset(ApiRole) - {SUPPORT}
"""Every role that reaches anything by itself."""
PLATFORM: Final = frozenset({OWNER, OPERATOR, AUDITOR})
OPERATORS: Final = frozenset({OWNER, OPERATOR})
OWNERS: Final = frozenset({OWNER})
CHANGERS: Final = frozenset({OWNER, OPERATOR, WORKSPACE_ADMIN})
"""All but those who only look."""
GRANTED: Final = EVERYBODY | {SUPPORT}
"""What the support may look at in a workspace that has granted it: no secret, and not the audit
log, whose statements are the workspace's own data.
"""
STAFF: Final = PLATFORM | {SUPPORT}
SUPPORTERS: Final = frozenset({SUPPORT})
ADMINISTRATORS: Final = frozenset({WORKSPACE_ADMIN})
NOBODY: Final[frozenset[ApiRole]] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    """``is_creation``: takes an Idempotency-Key. ``shown_once``: the answer's field that holds a
    secret, which is not kept with the answer of a call that names itself. ``is_open``: for who
    has no key, and looks at none. ``is_persons``: for a session of the staff, not for a key.
    """

    roles: frozenset[ApiRole]
    is_creation: bool = False
    shown_once: str = ""
    is_open: bool = False
    is_persons: bool = False


OPERATIONS: Final[dict[str, Operation]] = {
    "whoAmI": Operation(GRANTED),
    "getOpenApi": Operation(GRANTED),
    "logIn": Operation(NOBODY, is_open=True),
    "takeUpInvitation": Operation(NOBODY, is_open=True),
    "confirmEnrolment": Operation(NOBODY, is_open=True),
    "startOidcLogin": Operation(NOBODY, is_open=True),
    "finishOidcLogin": Operation(NOBODY, is_open=True),
    # One's own account: a program's key has none.
    "logOut": Operation(STAFF, is_persons=True),
    "listOwnSessions": Operation(STAFF, is_persons=True),
    "revokeOwnSession": Operation(STAFF, is_persons=True),
    "changeOwnPassword": Operation(STAFF, is_persons=True),
    "renewRecoveryCodes": Operation(STAFF, is_persons=True),
    # Who may make a colleague may become an owner, so owners alone.
    "listStaff": Operation(OWNERS | {AUDITOR}),
    "inviteStaff": Operation(OWNERS, is_creation=True, shown_once="invitation"),
    "getStaff": Operation(OWNERS | {AUDITOR}),
    "changeStaffRole": Operation(OWNERS),
    "resetStaff": Operation(OWNERS),
    "disableStaff": Operation(OWNERS),
    # Keys of the platform: who may make one may make any, so owners alone.
    "listKeys": Operation(OWNERS | {AUDITOR}),
    "createKey": Operation(OWNERS, is_creation=True, shown_once="secret"),
    "revokeKey": Operation(OWNERS),
    "listWorkspaces": Operation(EVERYBODY),
    "createWorkspace": Operation(OPERATORS, is_creation=True),
    "getWorkspace": Operation(GRANTED),
    "renameWorkspace": Operation(OPERATORS),
    "suspendWorkspace": Operation(OPERATORS),
    "resumeWorkspace": Operation(OPERATORS),
    "deleteWorkspace": Operation(OPERATORS),
    "listWorkspaceKeys": Operation(EVERYBODY),
    "createWorkspaceKey": Operation(CHANGERS, is_creation=True, shown_once="secret"),
    "revokeWorkspaceKey": Operation(CHANGERS),
    # Whom a workspace's provider vouches for is its administrator, and the provider is asked from
    # inside: it is for the platform to set up.
    "getOidc": Operation(EVERYBODY),
    "putOidc": Operation(OPERATORS),
    "removeOidc": Operation(OPERATORS),
    "testOidc": Operation(OPERATORS),
    "listOidcSessions": Operation(EVERYBODY),
    "revokeOidcSession": Operation(CHANGERS),
    "listTokens": Operation(GRANTED),
    "createToken": Operation(CHANGERS, is_creation=True, shown_once="secret"),
    "revokeToken": Operation(CHANGERS),
    "listSources": Operation(GRANTED),
    "createSource": Operation(CHANGERS, is_creation=True),
    "getSource": Operation(GRANTED),
    "editSource": Operation(CHANGERS),
    "rotateSource": Operation(CHANGERS),
    "testSource": Operation(CHANGERS),
    "removeSource": Operation(CHANGERS),
    # A workspace's policy opens private networks to it and bounds what it may use, so it is
    # the platform's; a source's policy only narrows that.
    "getPolicy": Operation(GRANTED),
    "putPolicy": Operation(OPERATORS),
    "clearPolicy": Operation(OPERATORS),
    "getPolicyHistory": Operation(GRANTED),
    "comparePolicies": Operation(GRANTED),
    "getSourcePolicy": Operation(GRANTED),
    "putSourcePolicy": Operation(CHANGERS),
    "clearSourcePolicy": Operation(CHANGERS),
    "getSourcePolicyHistory": Operation(GRANTED),
    "compareSourcePolicies": Operation(GRANTED),
    "checkStatement": Operation(GRANTED),
    "tryPolicy": Operation(EVERYBODY),
    "trySourcePolicy": Operation(EVERYBODY),
    "listSessions": Operation(GRANTED),
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
    "listTransfers": Operation(EVERYBODY),
    "getTransfer": Operation(EVERYBODY),
    "exportContent": Operation(EVERYBODY),
    "importContent": Operation(CHANGERS, is_creation=True),
    "exportWorkspace": Operation(EVERYBODY),
    "importWorkspace": Operation(OPERATORS, is_creation=True),
    "getWorkflowSchema": Operation(EVERYBODY),
    "getDashboardSchema": Operation(EVERYBODY),
    # The support asks, an administrator of the workspace decides: nobody of the platform.
    "askForAccess": Operation(SUPPORTERS, is_creation=True, is_persons=True),
    "listOwnGrants": Operation(SUPPORTERS, is_persons=True),
    "endOwnGrant": Operation(SUPPORTERS, is_persons=True),
    "createSupportToken": Operation(
        SUPPORTERS, is_creation=True, shown_once="secret", is_persons=True
    ),
    "listGrants": Operation(EVERYBODY),
    "approveGrant": Operation(ADMINISTRATORS),
    "denyGrant": Operation(ADMINISTRATORS),
    "endGrant": Operation(CHANGERS),
    "getPreApproval": Operation(EVERYBODY),
    "putPreApproval": Operation(ADMINISTRATORS),
}
