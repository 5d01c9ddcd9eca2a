"""Which secrets a source holds, and what is left of them by a change. Opens none."""

from __future__ import annotations

from dataclasses import replace

from proxy.store import validate
from proxy.store.errors import RoutingChangeNeedsSecret
from proxy.store.records import CREDENTIAL_FIELDS, CredentialField, SealedCredential, Source
from proxy.store.sources import destination


def fields_of(credential: SealedCredential | None) -> frozenset[CredentialField]:
    """The names of the secrets in a credential."""
    if credential is None:
        return frozenset()
    return frozenset(name for name in CREDENTIAL_FIELDS if credential.field(name) is not None)


def _in_words(fields: frozenset[CredentialField]) -> str:
    """As a sentence names them."""
    return " and the ".join(sorted(fields, reverse=True)).replace("_", " ")


def _without(
    credential: SealedCredential | None, forgotten: frozenset[CredentialField]
) -> SealedCredential | None:
    """The credential less some of its secrets; None where nothing is left."""
    if credential is None:
        return None
    left = SealedCredential(
        password=None if "password" in forgotten else credential.password,
        client_key=None if "client_key" in forgotten else credential.client_key,
    )
    return left if fields_of(left) else None


def with_credential(source: Source, given: SealedCredential | None) -> Source:
    """The source as it is once the given secrets are stored with those it has."""
    if given is None:
        return source
    old = source.credential or SealedCredential()
    return replace(
        source,
        credential=SealedCredential(
            password=given.password or old.password,
            client_key=given.client_key or old.client_key,
        ),
        password_version=given.password.version if given.password else source.password_version,
        client_key_version=(
            given.client_key.version if given.client_key else source.client_key_version
        ),
    )


def after_edit(
    stored: Source,
    edited: Source,
    given: SealedCredential | None,
    forgotten: frozenset[CredentialField],
) -> Source:
    """An edited source as it is stored next, with the secrets it keeps of its own.

    Raises InvalidSetting, and RoutingChangeNeedsSecret where one is kept for another place.
    """
    kept = fields_of(stored.credential) - forgotten
    new = fields_of(given)
    validate.check_secrets(edited, kept | new)
    if destination(edited) != destination(stored) and kept - new:
        raise RoutingChangeNeedsSecret(
            "the engine, host, port, user or TLS identity changed, so the stored secret"
            f" cannot be used there: give the {_in_words(kept - new)} again"
        )
    return replace(
        edited,
        credential=_without(stored.credential, forgotten),
        password_version=stored.password_version,
        client_key_version=stored.client_key_version,
        version=stored.version + 1,
    )
