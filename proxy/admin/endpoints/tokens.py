"""Access tokens of a workspace. A token's text is in one answer, once."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.shapes import (
    Answer,
    Body,
    Cursor,
    Label,
    Limit,
    Moment,
    Page,
    TokenId,
    WorkspaceName,
    rank_of_age,
)
from proxy.administration import tokens as work
from proxy.store import Token


class NewToken(Body):
    """A token to be made."""

    label: Label
    expires_at: Moment | None = None


class TokenAnswer(Answer):
    """A token: nothing that could be used to log in."""

    id: str
    label: str
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, token: Token, now: datetime) -> TokenAnswer:
        """From the record."""
        return cls(
            id=token.id,
            label=token.label,
            state=token.state(now),
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
            last_used_at=token.last_used_at,
        )


class MadeToken(TokenAnswer):
    """A token as it is shown once."""

    secret: str | None = Field(
        description="The token. Shown this once; null where an Idempotency-Key is given again."
    )

    @classmethod
    def once(cls, token: Token, now: datetime, text: str) -> MadeToken:
        """From the record, with the text that is nowhere else."""
        return cls(**TokenAnswer.of(token, now).model_dump(), secret=text)


async def list_tokens(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[TokenAnswer]:
    """The newest first, ended ones too."""
    found = await call.office.store.list_tokens(call.here)
    page, following = page_of(
        "tokens", found, lambda token: rank_of_age(token.created_at, token.id), cursor, limit
    )
    now = call.office.clock()
    return Page(items=[TokenAnswer.of(token, now) for token in page], next_cursor=following)


async def create_token(call: Admitted, workspace: WorkspaceName, body: NewToken) -> MadeToken:
    """Its text is shown once."""
    text, made = await work.create_token(
        call.place, call.here, label=body.label, expires_at=body.expires_at
    )
    return MadeToken.once(made, call.office.clock(), text)


async def revoke_token(call: Admitted, workspace: WorkspaceName, token_id: TokenId) -> TokenAnswer:
    """The sessions that it opened end within a second."""
    ended = await work.revoke_token(call.place, call.here, token_id)
    return TokenAnswer.of(ended, call.office.clock())


_ALL = "/v1/workspaces/{workspace}/tokens"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listTokens", list_tokens, "List tokens"),
    Endpoint(
        "POST", _ALL, "createToken", create_token, "Create a token", status=201, has_body=True
    ),
    Endpoint("POST", f"{_ALL}/{{token_id}}/revoke", "revokeToken", revoke_token, "Revoke a token"),
)
