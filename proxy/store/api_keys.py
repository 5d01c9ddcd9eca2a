"""Keys to the admin endpoints: their text, and the store's questions about them.

``ack_`` and the rest as a token has it (``tokens``): id, 256 random bits, checksum. It is
returned once and never stored; at rest there is its SHA-256, which needs no stretching for
a secret that nobody can guess.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from proxy.store import validate
from proxy.store.database import Database
from proxy.store.errors import InvalidSetting
from proxy.store.queries import api_keys
from proxy.store.records import ApiKey, ApiRole
from proxy.store.tokens import new_token, parse_token

PREFIX = "ack_"
SESSION_PREFIX = "acs_"
"""Of a session's token, which is otherwise as a key is."""

_PURPOSE = b"accode-proxy api key 1\0"


def new_api_key(entropy: Callable[[int], bytes] = os.urandom) -> str:
    """A new key's text, to be shown once."""
    return new_token(entropy, prefix=PREFIX)


def parse_api_key(text: str) -> str:
    """The id of a well-formed key or session token. Raises InvalidToken, without its text."""
    prefix = SESSION_PREFIX if text.startswith(SESSION_PREFIX) else PREFIX
    return parse_token(text, prefix=prefix)


def new_session_token(entropy: Callable[[int], bytes] = os.urandom) -> str:
    """A new session token's text, to be shown once."""
    return new_token(entropy, prefix=SESSION_PREFIX)


def digest_of(text: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(_PURPOSE + text.encode("ascii")).digest()


class ApiKeys:
    """The store's questions about keys; any call raises StoreUnavailable."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def create(self, key: ApiKey) -> ApiKey:
        """Store a key; its time is now. Raises NotFound, LimitReached, InvalidSetting."""
        now = self._clock()
        validate.check_text(key.label, "label")
        validate.check_expiry(key.expires_at, now)
        if (key.role is ApiRole.WORKSPACE_ADMIN) != (key.workspace_id is not None):
            raise InvalidSetting("role", "workspace-admin, and no other, is of one workspace")
        if key.role is ApiRole.SUPPORT or key.staff_id is not None:
            raise InvalidSetting("role", "support is for people, who log in")
        stored = replace(key, created_at=now)
        await self._database.write(lambda connection: api_keys.create(connection, stored))
        return stored

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id."""
        return await self._database.read(lambda connection: api_keys.find(connection, key_id))

    async def of(self, workspace_id: str | None) -> list[ApiKey]:
        """A workspace's keys, or (None) the platform's, the newest first."""
        return await self._database.read(lambda connection: api_keys.of(connection, workspace_id))

    async def revoke(self, workspace_id: str | None, key_id: str) -> ApiKey:
        """End a key for good. Raises NotFound, also for a key of another workspace."""
        now = self._clock()
        return await self._database.write(
            lambda connection: api_keys.revoke(connection, workspace_id, key_id, now)
        )

    async def record_use(self, key_id: str) -> None:
        """Remember that it was used now."""
        now = self._clock()
        await self._database.write(lambda connection: api_keys.record_use(connection, key_id, now))
