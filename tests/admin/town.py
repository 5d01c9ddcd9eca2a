"""Two workspaces with one of everything in each, and an audit log that tells of both."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from policies.document import policy_from
from proxy.administration import support
from proxy.administration.oidc import Wanted, client_secret_of, set_provider
from proxy.administration.policies import set_policy
from proxy.administration.staff import invite
from proxy.administration.tokens import create_token
from proxy.audit.events import UPDATE, entity_changed
from proxy.content.library import save_document
from proxy.content.runs import start_run
from proxy.content.transfers import Progress, carrying
from proxy.parts import open_audit
from proxy.store import (
    ApiKey,
    ApiRole,
    PendingLogin,
    SealedCredential,
    Source,
    SupportGrant,
    Workspace,
    draft_source,
    seal_credential,
)
from proxy.store.api_keys import digest_of, new_session_token, parse_api_key
from tests.admin.rig import Rig
from vault import Secret

SOURCES = {"finance": "orders", "sales": "ledger"}
WORKFLOWS = {"finance": "nightly", "sales": "weekly"}
DASHBOARDS = {"finance": "figures", "sales": "graphs"}


@dataclass(frozen=True)
class Town:
    """``ids``: by workspace, what fills its paths. ``versions``: of finance's two policies.
    ``grants``: by workspace and operation, the one it is about; finance's alone is live.
    """

    ids: dict[str, dict[str, str]]
    versions: dict[str, int]
    platform_key: str
    colleague: str
    grants: dict[str, dict[str, str]]

    async def picture(self, rig: Rig) -> list[object]:
        """All that both workspaces hold, to see whether anything has changed."""
        found: list[object] = [*await rig.store.list_workspaces()]
        for workspace in rig.workspaces.values():
            found += await rig.store.list_tokens(workspace)
            found += await rig.store.list_sources(workspace)
            found += await rig.store.content.documents(workspace, "workflow")
            found += await rig.store.content.documents(workspace, "dashboard")
            found += await rig.store.content.runs(workspace)
            found += [(key.id, key.revoked_at) for key in await rig.store.api_keys.of(workspace.id)]
            found += await rig.store.support.of_workspace(workspace.id)
            found.append(await rig.store.support.pre_approval(workspace.id))
            found.append(await rig.store.oidc.of_workspace(workspace.id))
            logged_in = await rig.store.oidc.sessions(workspace.id)
            found += [(one.id, one.revoked_at) for one in logged_in]
        found += [(one.id, one.role, one.state) for one in await rig.store.staff.all()]
        for person in rig.people.values():
            logins = await rig.store.staff.sessions(person.account.id)
            found += [(login.id, login.revoked_at) for login in logins]
        found.append([call for call in rig.proxy.calls if call[0] != "session.list"])
        return found


async def a_source(rig: Rig, workspace: str, name: str, **more: Any) -> Source:
    """A source with a password, as the command line adds one."""
    owner = rig.workspaces[workspace]
    settings = {
        "engine": "postgresql",
        "host": "db.example.com",
        "port": 5432,
        "database": "orders",
        "username": "app",
    }
    draft = draft_source(owner, name, **(settings | more))  # type: ignore[arg-type]
    sealed = seal_credential(rig.office.vault, owner, draft, Secret(b"correct horse"))
    return await rig.store.add_source(draft, SealedCredential(password=sealed))


async def settled(rig: Rig) -> Town:
    """Fill both workspaces."""
    ids: dict[str, dict[str, str]] = {}
    versions: dict[str, int] = {}
    policy = policy_from({"version": 1, "access": "full"})
    for name, workspace in rig.workspaces.items():
        source = await a_source(rig, name, SOURCES[name])
        _, token = await create_token(rig.place, workspace, label=f"of {name}", expires_at=None)
        _, key = await rig.key(ApiRole.WORKSPACE_ADMIN, workspace)
        session = f"{len(ids)}" * 32
        rig.proxy.sessions.append(a_session(session, workspace.name, workspace.id, source.name))
        ids[name] = {
            "source": source.name,
            "token_id": token.id,
            "key_id": key.id,
            "session_id": session,
            "transfer_id": await a_transfer(rig, workspace, source.name),
            "oidc_session_id": await an_oidc_session(rig, workspace),
            **await some_content(rig, workspace),
        }
        await set_policy(rig.place, workspace, None, policy)
        await set_policy(rig.place, workspace, source, policy)
        if name == "finance":
            versions["first"] = (await rig.store.policies.history(workspace, None))[0].number
            versions["second"] = (await rig.store.policies.history(workspace, source))[0].number
    _, platform = await rig.key(ApiRole.AUDITOR)
    _, colleague = await invite(rig.place, "colleague", ApiRole.AUDITOR)
    grants = {name: await _grants(rig, workspace) for name, workspace in rig.workspaces.items()}
    async with open_audit(rig.office.config, rig.office.vault) as log:
        for name, workspace in rig.workspaces.items():
            await log.record_durably(
                entity_changed(
                    UPDATE,
                    actor="root",
                    workspace_id=workspace.id,
                    entity_type="data source",
                    entity_id=ids[name]["session_id"],
                    name=SOURCES[name],
                )
            )
    rig.trail.events.clear()
    return Town(ids, versions, platform.id, colleague.id, grants)


PROVIDER = Wanted(
    issuer="https://idp.example.com",
    client_id="accode",
    redirect_uris=("https://console.example.com/back",),
    claim="groups",
    allowed=("admins",),
)


async def an_oidc_session(rig: Rig, workspace: Workspace) -> str:
    """The workspace has an identity provider, and an administrator has logged in with it."""
    secret = client_secret_of("battery staple")
    provider = await set_provider(rig.place, workspace, None, PROVIDER, secret)
    login = PendingLogin(
        digest=workspace.id.encode(),
        provider_id=provider.id,
        provider_version=provider.version,
        redirect_uri=PROVIDER.redirect_uris[0],
        network="192.0.2.7",
        begun_at=rig.clock(),
    )
    text = new_session_token()
    session = ApiKey(
        id=parse_api_key(text),
        workspace_id=workspace.id,
        role=ApiRole.WORKSPACE_ADMIN,
        label=f"ada@{workspace.name}.example",
        digest=digest_of(text),
        created_by="root",
        created_at=rig.clock(),
        expires_at=None,
        provider_id=provider.id,
        subject="2482",
    )
    assert await rig.store.oidc.open_session(login, session, timedelta(hours=8))
    return session.id


async def _grants(rig: Rig, workspace: Workspace) -> dict[str, str]:
    """One that is live in finance, for tokens, and requests to be decided on or ended."""
    asked = {
        name: await a_request(rig, workspace, with_database=name == "createSupportToken")
        for name in ("createSupportToken", "approveGrant", "denyGrant", "endGrant")
    }
    if workspace.name == "finance":
        await rig.store.support.decide(asked["createSupportToken"], "root", is_approved=True)
    found = {name: grant.id for name, grant in asked.items()}
    return found | {"endOwnGrant": found["endGrant"]}


async def a_request(rig: Rig, workspace: Workspace, **more: Any) -> SupportGrant:
    """The support person asks for an hour."""
    session = ApiKey(
        id="unused",
        workspace_id=None,
        role=ApiRole.SUPPORT,
        label=rig.people[ApiRole.SUPPORT].name,
        digest=b"",
        created_by="",
        created_at=rig.clock(),
        expires_at=None,
        staff_id=rig.people[ApiRole.SUPPORT].account.id,
    )
    settings: dict[str, Any] = {
        "reason": "ticket 4711",
        "minutes": 60,
        "with_database": False,
    } | more
    return await support.ask(rig.place, session, workspace, **settings)


def a_workflow(source: str, **more: Any) -> dict[str, Any]:
    """One statement, to be run by its endpoint."""
    step = {"name": "read", "sql": {"source": source, "statement": "SELECT 1"}}
    return {"version": 1, "endpoint": True, "steps": [step]} | more


def a_dashboard(source: str, **more: Any) -> dict[str, Any]:
    """One panel."""
    panel = {"name": "first", "query": {"source": source, "statement": "SELECT 1"}}
    return {"version": 1, "panels": [panel]} | more


async def some_content(rig: Rig, workspace: Workspace) -> dict[str, str]:
    """A workflow with a run that waits, and a dashboard; what fills paths with them."""
    source = SOURCES[workspace.name]
    workflow, dashboard = WORKFLOWS[workspace.name], DASHBOARDS[workspace.name]
    place = rig.place
    text = json.dumps(a_workflow(source))
    await save_document(place, workspace, "workflow", workflow, text)
    await save_document(place, workspace, "dashboard", dashboard, json.dumps(a_dashboard(source)))
    run = await start_run(place, workspace, workflow, {})
    return {"workflow": workflow, "dashboard": dashboard, "run_id": run.id}


async def a_transfer(rig: Rig, workspace: Workspace, source: str) -> str:
    """A file that has been imported; its id."""
    async with carrying(rig.place, workspace, "import", source, "orders") as telling:
        telling(Progress(rows=2, bytes=17))
    return telling.transfer.id


def a_session(session_id: str, workspace: str, workspace_id: str, source: str) -> dict[str, Any]:
    """As the running proxy tells of one."""
    return {
        "id": session_id,
        "number": 7,
        "workspace": workspace,
        "workspace_id": workspace_id,
        "source": source,
        "token_id": "4fT9aQ2xZk",
        "application_name": "psql",
        "client": "192.0.2.9:5",
        "tls": True,
        "state": "idle",
        "started_at": "2026-05-04T12:30:15+00:00",
        "age_seconds": 1.5,
        "idle_seconds": 0.5,
        "bytes_from_client": 10,
        "bytes_from_source": 20,
    }
