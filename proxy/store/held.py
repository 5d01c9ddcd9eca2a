"""Which secrets a source holds, and what is left of them by a change. Opens none."""

from __future__ import annotations

from dataclasses import replace

from proxy.store.records import CREDENTIAL_FIELDS, CredentialField, SealedCredential, Source


def fields_of(credential: SealedCredential | None) -> frozenset[CredentialField]:
    """The names of the secrets in a credential."""
    if credential is None:
        return frozenset()
    return frozenset(name for name in CREDENTIAL_FIELDS if credential.field(name) is not None)


def in_words(fields: frozenset[CredentialField]) -> str:
    """As a sentence names them."""
    return " and the ".join(sorted(fields, reverse=True)).replace("_", " ")


def without(
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
