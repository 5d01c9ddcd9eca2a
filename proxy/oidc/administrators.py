"""Whom of a provider's users a workspace knows as an administrator, and by which name. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.oidc.failures import LoginRefused, NotAdministrator
from proxy.store import IdentityProvider
from proxy.store.identity import NAME_LIMIT

EMAIL: Final = "email"
SUBJECT_LIMIT: Final = 255
"""Characters of a ``sub`` (OpenID Connect Core 1.0, section 2)."""
VALUES_LIMIT: Final = 2_000
"""Values of a claim that are looked at: groups of a user."""


@dataclass(frozen=True, slots=True)
class Administrator:
    """``name`` is the verified e-mail address, or else the subject; it stands in the audit log."""

    subject: str
    name: str


def administrator_of(provider: IdentityProvider, claims: Mapping[str, Any]) -> Administrator:
    """Who it is, by the claims of an ID token that was believed. Raises LoginRefused."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.isascii() or not _is_line(subject):
        raise LoginRefused("the subject is not one that can be recorded")
    email = claims.get(EMAIL)
    is_verified = claims.get("email_verified") is True
    names = (email if is_verified else None, subject)
    name = next((one for one in names if isinstance(one, str) and _is_line(one, NAME_LIMIT)), None)
    if name is None:
        raise LoginRefused(f"neither address nor subject is a name of {NAME_LIMIT} characters")
    if provider.claim == EMAIL and not is_verified:
        # Whoever may type an address into a profile would be anybody.
        raise NotAdministrator("the provider has not verified the e-mail address", subject, name)
    if not _values(claims.get(provider.claim)) & set(provider.allowed):
        said = "the claim has none of the values that make an administrator"
        raise NotAdministrator(said, subject, name)
    return Administrator(subject, name)


def _values(claim: object) -> set[str]:
    """The texts of a claim: it alone, or a list of nothing else."""
    if isinstance(claim, str):
        return {claim}
    if not isinstance(claim, list) or len(claim) > VALUES_LIMIT:
        return set()
    return set(claim) if all(isinstance(one, str) for one in claim) else set()


def _is_line(text: str, limit: int = SUBJECT_LIMIT) -> bool:
    return 1 <= len(text) <= limit and text.isprintable() and text == text.strip()
