"""An administrator's login with its workspace's identity provider: sent there, and taken back.

For who has no key. What was begun is finished by who began it, once.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.problems import Problem, Wrong, not_found
from proxy.admin.rates import Answer as Turn
from proxy.admin.shapes import Answer, Body
from proxy.administration import oidc_login as work
from proxy.audit.people import administrator_logged_in
from proxy.oidc.failures import Busy, ProviderFailed
from proxy.oidc.settings import ADDRESS_LIMIT
from proxy.store import IdentityProvider, Workspace, oidc_actor
from proxy.store.records import SESSION_IDLE
from proxy.store.validate import is_name

CODE_LIMIT = 4_096
"""Characters of a code: some providers put a sealed document into one."""

Name = Annotated[str, Field(min_length=1, max_length=63, examples=["finance"])]


class StartOidc(Body):
    """``device``: what the last login from here was given, or nothing."""

    workspace: Name
    redirect_uri: str = Field(
        min_length=1,
        max_length=ADDRESS_LIMIT,
        description="One that is set for the workspace.",
        examples=["https://console.example.com/oidc/callback"],
    )
    device: Annotated[SecretStr, Field(max_length=256)] | None = None


class StartedOidc(Answer):
    """Where to go, and what to come back with."""

    login: str = Field(
        description="Kept by who began, and given with the code. Never put it into an address."
    )
    authorization_url: str = Field(description="Where the user's browser goes now.")
    expires_at: datetime


class FinishOidc(Body):
    """What the user came back with: the parameters of the redirect, and the login."""

    login: Annotated[SecretStr, Field(min_length=1, max_length=128, examples=["aco_4fT9aQ2xZk_.."])]
    state: Annotated[SecretStr, Field(min_length=1, max_length=256, examples=["x3JkQ..."])]
    code: Annotated[SecretStr, Field(min_length=1, max_length=CODE_LIMIT, examples=["SplxlOBe"])]
    iss: Annotated[str, Field(max_length=ADDRESS_LIMIT)] | None = Field(
        default=None,
        description="Where the redirect has it (RFC 9207).",
        examples=["https://login.example.com/realms/finance"],
    )


class FinishedOidc(Answer):
    """A session of an administrator of this one workspace."""

    token: str = Field(description="The bearer token of the session. Shown this once.")
    device: str = Field(
        description="Give it with the next login: a device that is known is never crowded out."
    )
    session_id: str
    workspace: str
    name: str
    subject: str
    expires_at: datetime
    idle_seconds: int = Field(description="Without a call for so long, the session is over.")


async def start_oidc_login(call: Admitted, body: StartOidc) -> StartedOidc:
    """No such workspace, and none with a provider, are one answer, and take as long."""
    office, loop = call.office, asyncio.get_running_loop()
    began, now = loop.time(), office.clock()
    device = None if body.device is None else body.device.get_secret_value()
    _check_turn(office.oidc_guesses.take(_device_name(body.workspace), call.network, device, now))
    name = body.workspace if is_name(body.workspace) else ""
    found = await office.store.find_workspace(name)
    # Its log has this call, also where it is refused.
    call.workspace = found
    provider = await office.store.oidc.of_workspace("" if found is None else found.id)
    if found is None or provider is None or found.state != "active":
        await asyncio.sleep(office.config.limits.failure_floor - (loop.time() - began))
        raise not_found()
    if body.redirect_uri not in provider.redirect_uris:
        wrong = Wrong("It is not one that is set for this workspace.", pointer="/redirect_uri")
        raise Problem(422, "invalid", "The call holds what cannot be used.", errors=[wrong])
    begun = await _begun(call, found, provider, body.redirect_uri)
    return StartedOidc(
        login=begun.login, authorization_url=begun.address, expires_at=begun.expires_at
    )


async def _begun(
    call: Call, workspace: Workspace, provider: IdentityProvider, redirect_uri: str
) -> work.Begun:
    office = call.office
    fetch = office.fetch_for(workspace)
    try:
        begun = await work.begin(
            call.place, office.oidc, fetch, provider, redirect_uri, call.network
        )
    except ProviderFailed as failure:
        await office.trail.record(
            administrator_logged_in(
                workspace_id=workspace.id,
                issuer=provider.issuer,
                ip=call.address,
                port=call.port,
                reason=str(failure),
            )
        )
        raise _unavailable() from None
    if begun is None:
        raise not_found()
    return begun


async def finish_oidc_login(call: Admitted, body: FinishOidc) -> FinishedOidc:
    """Whatever is wrong is one answer, no sooner than a while; the login is spent in any case."""
    office, loop = call.office, asyncio.get_running_loop()
    began, now = loop.time(), office.clock()
    _check_turn(office.oidc_returns.take(call.network, office.monotonic()))
    back = work.Return(
        login=body.login.get_secret_value(),
        state=body.state.get_secret_value(),
        code=body.code.get_secret_value(),
        issuer=body.iss,
        ip=call.address,
        port=call.port,
    )
    outcome = await work.finish(call.place, office.oidc, office.fetch_for, back)
    call.workspace = outcome.workspace
    if isinstance(outcome.failure, Busy):
        raise outcome.failure
    if outcome.failure is not None:
        raise _unavailable()
    if outcome.logged_in is None:
        await asyncio.sleep(office.config.limits.failure_floor - (loop.time() - began))
        raise Problem(401, "wrong-login", "The login was not accepted; begin another one.")
    made = outcome.logged_in
    session = made.session
    call.recognised = oidc_actor(session.label)
    assert session.expires_at is not None, "a login's session has an end"
    return FinishedOidc(
        token=made.token,
        device=office.oidc_guesses.new_device(_device_name(made.workspace.name), now),
        session_id=session.id,
        workspace=made.workspace.name,
        name=session.label,
        subject=session.subject,
        expires_at=session.expires_at,
        idle_seconds=int(SESSION_IDLE.total_seconds()),
    )


def _device_name(workspace: str) -> str:
    # With a space, which no account's name has: a device of the one is none of the other.
    return f"oidc {workspace}"


def _check_turn(turn: Turn) -> None:
    if turn.wait:
        raise Problem(
            429,
            "too-many-logins",
            "There are too many logins from here, or to this workspace from devices that it "
            "does not know; wait before the next one.",
            headers={"Retry-After": str(turn.wait)},
        )


def _unavailable() -> Problem:
    # Not why: that is for who has set it up, in the workspace's log and by a test.
    return Problem(
        502,
        "provider-unavailable",
        "The identity provider of this workspace cannot be used now.",
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/oidc/start",
        "startOidcLogin",
        start_oidc_login,
        "Begin to log in with a workspace's identity provider",
        has_body=True,
        asks_proxy=True,
        may_be_missing=True,
    ),
    Endpoint(
        "POST",
        "/v1/oidc/finish",
        "finishOidcLogin",
        finish_oidc_login,
        "Finish such a login",
        has_body=True,
        asks_proxy=True,
    ),
)
