"""Tokens: made and revoked. The token's text exists here once and is stored nowhere."""

from __future__ import annotations

import asyncio
from datetime import datetime

from proxy.administration.trail import audited
from proxy.administration.workplace import Desk
from proxy.audit.events import token_changed
from proxy.store import NotFound, Token, Workspace, new_token, parse_token, verifiers_for


async def create_token(
    place: Desk, workspace: Workspace, *, label: str, expires_at: datetime | None
) -> tuple[str, Token]:
    """A new token's text, and what is kept of it. Raises NotFound, LimitReached."""
    text = new_token()
    verifier = await asyncio.to_thread(
        verifiers_for, text, workspace.scram_salt, workspace.scram_iterations
    )
    event = token_changed(
        "create",
        actor=place.actor,
        workspace_id=workspace.id,
        token_id=verifier.token_id,
        label=label,
    )
    token = await audited(
        place.trail,
        event,
        lambda: place.store.create_token(workspace, label, expires_at, verifier),
        place.warn,
    )
    return text, token


async def revoke_token(place: Desk, workspace: Workspace, token: str) -> Token:
    """End a token, named by its id or its whole text, and the sessions it opened.

    Raises NotFound.
    """
    token_id = parse_token(token) if token.startswith("acp_") else token
    found = await _find(place, workspace, token_id)
    event = token_changed(
        "disable",
        actor=place.actor,
        workspace_id=workspace.id,
        token_id=found.id,
        label=found.label,
    )
    return await audited(
        place.trail, event, lambda: place.store.revoke_token(workspace, found.id), place.warn
    )


async def _find(place: Desk, workspace: Workspace, token_id: str) -> Token:
    for token in await place.store.list_tokens(workspace):
        if token.id == token_id:
            return token
    # The id is not repeated: it may be a mistyped token.
    raise NotFound(f"workspace {workspace.name} has no token of that id")
