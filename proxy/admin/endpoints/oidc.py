"""The identity provider of a workspace's administrators, and the sessions that it has given.

The client's secret comes in and never goes out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Request, Response
from pydantic import Field, SecretStr, StrictInt

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.problems import not_found
from proxy.admin.shapes import Answer, Body, Cursor, Limit, Page, WorkspaceName, rank_of_age
from proxy.administration import oidc as work
from proxy.oidc.failures import ProviderFailed
from proxy.oidc.settings import (
    ADDRESS_LIMIT,
    ALLOWED,
    CLIENT_ID_LIMIT,
    MINUTES,
    REDIRECTS,
    SCOPES,
    VALUE_LIMIT,
)
from proxy.store import ApiKey, IdentityProvider

OidcSessionId = Annotated[
    str, Path(description="An administrator's session's id.", examples=["4fT9aQ2xZk"])
]
Address = Annotated[str, Field(min_length=1, max_length=ADDRESS_LIMIT)]
Text = Annotated[str, Field(min_length=1, max_length=VALUE_LIMIT)]


class PutOidc(Body):
    """Where administrators log in, and who of its users is one."""

    issuer: Address = Field(
        description="As its discovery document names it, to the letter.",
        examples=["https://login.example.com/realms/finance"],
    )
    client_id: Annotated[str, Field(min_length=1, max_length=CLIENT_ID_LIMIT)] = Field(
        examples=["accode"]
    )
    client_secret: SecretStr | None = Field(
        default=None,
        max_length=work.SECRET_LIMIT,
        description="To be set; needed with a new issuer or client. Written, never read.",
        examples=["hK3vR8s-example"],
    )
    redirect_uris: Annotated[list[Address], Field(min_length=1, max_length=REDIRECTS)] = Field(
        description="Where the platform takes its users back; a login names one of them.",
        examples=[["https://console.example.com/oidc/callback"]],
    )
    scopes: Annotated[list[Text], Field(min_length=1, max_length=SCOPES)] = Field(
        default=["openid", "email"], examples=[["openid", "email", "groups"]]
    )
    claim: Text = Field(
        description="Of the ID token. `email` counts where `email_verified` is true.",
        examples=["groups"],
    )
    allowed: Annotated[list[Text], Field(min_length=1, max_length=ALLOWED)] = Field(
        description="Who has one of these in the claim is an administrator of the workspace.",
        examples=[["finance-admins"]],
    )
    session_minutes: Annotated[StrictInt, Field(ge=MINUTES[0], le=MINUTES[1])] = Field(
        default=480, description="After so long a session is over in any case."
    )

    def wanted(self) -> work.Wanted:
        """As it is worked with."""
        return work.Wanted(
            issuer=self.issuer,
            client_id=self.client_id,
            redirect_uris=tuple(self.redirect_uris),
            scopes=tuple(self.scopes),
            claim=self.claim,
            allowed=tuple(self.allowed),
            session_minutes=self.session_minutes,
        )


class Provider(Answer):
    """What is stored, but for the secret."""

    issuer: str
    client_id: str
    redirect_uris: list[str]
    scopes: list[str]
    claim: str
    allowed: list[str]
    session_minutes: int
    set_by: str
    set_at: datetime

    @classmethod
    def of(cls, provider: IdentityProvider) -> Provider:
        """From the record."""
        return cls(
            issuer=provider.issuer,
            client_id=provider.client_id,
            redirect_uris=list(provider.redirect_uris),
            scopes=list(provider.scopes),
            claim=provider.claim,
            allowed=list(provider.allowed),
            session_minutes=provider.session_minutes,
            set_by=provider.set_by,
            set_at=provider.set_at,
        )


class OidcAnswer(Answer):
    """A workspace's identity provider; null: it has none."""

    provider: Provider | None


class OidcRemoved(Answer):
    """What was removed."""

    issuer: str
    removed_at: datetime


class OidcTest(Answer):
    """Whether the provider describes itself, and shows keys, as it must."""

    ok: bool
    sentence: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None


class OidcSession(Answer):
    """An administrator's session: nothing that could be used to call."""

    id: str
    state: Literal["live", "expired", "revoked"]
    name: str
    subject: str
    address: str
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, session: ApiKey, now: datetime) -> OidcSession:
        """From the record."""
        return cls(
            id=session.id,
            state=session.state(now),
            name=session.label,
            subject=session.subject,
            address=session.address,
            created_at=session.created_at,
            last_used_at=session.last_used_at,
            expires_at=session.expires_at,
            revoked_at=session.revoked_at,
        )


def tag(provider: IdentityProvider | None) -> str:
    """The ETag of a workspace's provider, or of none."""
    if provider is None:
        return etag_of("oidc", None)
    return etag_of("oidc", provider.id, provider.version)


async def get_oidc(call: Admitted, workspace: WorkspaceName, response: Response) -> OidcAnswer:
    """Without its secret."""
    return _tagged(await call.office.store.oidc.of_workspace(call.here.id), response)


async def put_oidc(
    call: Admitted, workspace: WorkspaceName, body: PutOidc, request: Request, response: Response
) -> OidcAnswer:
    """Sessions and logins of the one before end at once."""
    before = await call.office.store.oidc.of_workspace(call.here.id)
    check_if_match(request, tag(before))
    secret = body.client_secret
    made = await work.set_provider(
        call.place,
        call.here,
        before,
        body.wanted(),
        None if secret is None else work.client_secret_of(secret.get_secret_value()),
    )
    return _tagged(made, response)


async def remove_oidc(call: Admitted, workspace: WorkspaceName, request: Request) -> OidcRemoved:
    """Sessions and logins end with it, at once."""
    found = await call.office.store.oidc.of_workspace(call.here.id)
    if found is None:
        raise not_found()
    check_if_match(request, tag(found))
    await work.remove_provider(call.place, found)
    return OidcRemoved(issuer=found.issuer, removed_at=call.office.clock())


async def test_oidc(call: Admitted, workspace: WorkspaceName) -> OidcTest:
    """What is stored is asked for its description and its keys; the secret is not sent."""
    office = call.office
    found = await office.store.oidc.of_workspace(call.here.id)
    if found is None:
        raise not_found()
    try:
        metadata = await office.oidc.look(office.fetch_for(call.here), found)
    except ProviderFailed as failure:
        return OidcTest(ok=False, sentence=f"{failure}.".capitalize())
    return OidcTest(
        ok=True,
        sentence="The identity provider describes itself, and shows keys, as it must.",
        authorization_endpoint=metadata.authorization_endpoint,
        token_endpoint=metadata.token_endpoint,
        jwks_uri=metadata.jwks_uri,
    )


async def list_oidc_sessions(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[OidcSession]:
    """The newest first; those that ended are there until the next login."""
    found = await call.office.store.oidc.sessions(call.here.id)
    page, following = page_of(
        "oidc-sessions", found, lambda one: rank_of_age(one.created_at, one.id), cursor, limit
    )
    now = call.office.clock()
    return Page(items=[OidcSession.of(one, now) for one in page], next_cursor=following)


async def revoke_oidc_session(
    call: Admitted, workspace: WorkspaceName, oidc_session_id: OidcSessionId
) -> OidcSession:
    """The next call with it is refused; also one's own, to log out."""
    ended = await work.end_session(call.place, call.here, oidc_session_id)
    return OidcSession.of(ended, call.office.clock())


def _tagged(provider: IdentityProvider | None, response: Response) -> OidcAnswer:
    response.headers["ETag"] = tag(provider)
    return OidcAnswer(provider=None if provider is None else Provider.of(provider))


_ONE = "/v1/workspaces/{workspace}/oidc"

ENDPOINTS = (
    Endpoint("GET", _ONE, "getOidc", get_oidc, "Show a workspace's identity provider"),
    Endpoint(
        "PUT",
        _ONE,
        "putOidc",
        put_oidc,
        "Set a workspace's identity provider",
        has_body=True,
        is_guarded=True,
    ),
    Endpoint(
        "DELETE",
        _ONE,
        "removeOidc",
        remove_oidc,
        "Remove a workspace's identity provider",
        is_guarded=True,
    ),
    Endpoint("POST", f"{_ONE}/test", "testOidc", test_oidc, "Test an identity provider"),
    Endpoint(
        "GET",
        f"{_ONE}/sessions",
        "listOidcSessions",
        list_oidc_sessions,
        "List the sessions of administrators who have logged in",
    ),
    Endpoint(
        "POST",
        f"{_ONE}/sessions/{{oidc_session_id}}/revoke",
        "revokeOidcSession",
        revoke_oidc_session,
        "End a session of an administrator",
    ),
)
