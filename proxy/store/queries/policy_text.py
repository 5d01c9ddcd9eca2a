"""A policy in a row: its canonical JSON. Knows no table."""

from __future__ import annotations

from functools import lru_cache

from policies.document import Policy, PolicyError, read_policy
from proxy.store.errors import StoreCorrupt


@lru_cache(maxsize=1_024)
def parsed(text: str | None) -> Policy | None:
    """The policy of a row. Raises StoreCorrupt: one that cannot be read must not be none."""
    if text is None:
        return None
    try:
        return read_policy(text, "json")
    except PolicyError as error:
        raise StoreCorrupt(f"the store holds a policy that cannot be read: {error}") from None


def text_of(policy: Policy | None) -> str | None:
    """As a row has it."""
    return None if policy is None else policy.to_json()
