"""What is stored for a data source, in use: its password, its client key, and what they make.

The one place of the gateway where a stored secret is opened, and never before the record of its
use is durable. TLS contexts and derived keys are kept: they hold a secret, too, so who gets one
is recorded as its user. Knows no socket and no login.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import replace

from protocols.errors import Reason, Refusal
from protocols.interface import Derive, WireProtocol
from proxy.audit.context import SessionContext
from proxy.audit.events import credential_unsealed
from proxy.audit.log import AuditLog
from proxy.gateway.tls import NoTls, UpstreamTls, upstream_tls
from proxy.metrics import Credential, Metrics
from proxy.store.failover import Endpoint
from proxy.store.records import CredentialField, Source, Workspace
from proxy.store.sources import open_credential
from vault import UnsealError, Vault

# Contexts kept: one for each source in use; loading the system's CAs takes milliseconds.
CONTEXT_LIMIT = 512
# Derived SCRAM keys kept, 32 bytes each.
DERIVED_LIMIT = 4_096


class SourceSecrets:
    """The secrets of this process's data sources."""

    def __init__(self, vault: Vault, audit: AuditLog, metrics: Metrics) -> None:
        self._vault = vault
        self._audit = audit
        self._metrics = metrics
        self._contexts: OrderedDict[tuple[str, int, int], UpstreamTls | NoTls] = OrderedDict()
        self._derived: OrderedDict[tuple[str, int, bytes, int], bytes] = OrderedDict()

    async def use(
        self,
        workspace: Workspace,
        source: Source,
        field: CredentialField,
        context: SessionContext,
    ) -> bytes | None:
        """A stored secret, opened after the record of its use is durable; None if none is.

        Raises Refusal.
        """
        if not source.has_secret(field):
            return None
        await self._announce(source, field, context)
        try:
            secret = open_credential(self._vault, workspace, source, field).reveal()
        except UnsealError as error:
            self._metrics.credentials.add(Credential.UNUSABLE)
            raise Refusal(
                Reason.CREDENTIAL_UNUSABLE,
                "the data source's stored credential cannot be opened; store it again",
                str(error),
            ) from None
        self._metrics.credentials.add(Credential.USED)
        return secret

    async def _announce(
        self, source: Source, field: CredentialField, context: SessionContext
    ) -> None:
        """Put into the log, durably, that a stored secret is about to be used."""
        await self._audit.record_durably(
            credential_unsealed(
                context, credential_version=source.highest_version(field), purpose=field
            )
        )

    async def tls(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        endpoint: Endpoint,
        context: SessionContext,
    ) -> UpstreamTls | NoTls:
        """The source's TLS, for a server of this name. Raises Refusal."""
        made = await self._context(protocol, workspace, source, context)
        if isinstance(made, NoTls):
            return made
        return replace(made, server_hostname=source.tls.server_name or endpoint.host)

    async def _context(
        self,
        protocol: WireProtocol,
        workspace: Workspace,
        source: Source,
        context: SessionContext,
    ) -> UpstreamTls | NoTls:
        key = (source.id, source.version, source.client_key_version)
        found = self._contexts.get(key)
        if found is not None:
            self._contexts.move_to_end(key)
            if source.has_secret("client_key"):
                # The key is in the context: a handshake uses it as much as the first one did.
                await self._announce(source, "client_key", context)
                self._metrics.credentials.add(Credential.USED)
            return found
        client_key = None
        if source.tls.client_cert_pem is not None:
            client_key = await self.use(workspace, source, "client_key", context)
        made = await asyncio.to_thread(
            upstream_tls, source.tls, source.host, protocol.alpn, client_key
        )
        self._contexts[key] = made
        if len(self._contexts) > CONTEXT_LIMIT:
            self._contexts.popitem(last=False)
        return made

    def derive(self, source: Source) -> Derive:
        """PBKDF2 in a thread, remembered for this credential, salt and count."""

        async def derive(password: bytes, salt: bytes, iterations: int) -> bytes:
            key = (source.id, source.password_version, salt, iterations)
            found = self._derived.get(key)
            if found is None:
                found = await asyncio.to_thread(
                    hashlib.pbkdf2_hmac, "sha256", password, salt, iterations
                )
                self._derived[key] = found
                if len(self._derived) > DERIVED_LIMIT:
                    self._derived.popitem(last=False)
            return found

        return derive
