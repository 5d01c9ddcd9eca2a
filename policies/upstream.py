"""Where a workspace's sources may be: the operator's rules for egress, narrowed by policies.

What can be seen of a source as it is stored is judged by ``check_upstream``, when it is
stored and at each connect; the addresses that its name has are judged with the rules that
``narrowed`` makes, when they are dialled. Resolves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from policies.document import Policy, Upstream
from policies.egress import EgressRules, Network
from protocols.errors import Reason, Refusal


@dataclass(frozen=True, slots=True)
class Destination:
    """A source as far as this is concerned. ``profile`` is its TLS's, or ``none``."""

    host: str
    port: int
    profile: str


def check_upstream(
    policies: Iterable[Policy | None], place: Destination, *, now: datetime
) -> Refusal | None:
    """Why a source may not be used, or None: the first policy that says no decides."""
    for policy in policies:
        if policy is None:
            continue
        rules = policy.upstream
        if rules.hosts is not None and not any(
            _matches(pattern, place.host) for pattern in rules.hosts
        ):
            return _no("host is", "upstream.hosts")
        if rules.ports is not None and not _holds(rules.ports, place.port):
            return _no("port is", "upstream.ports")
        if rules.tls is not None and not _allows(rules, place.profile, now):
            return _no(f"TLS profile {place.profile} is", "upstream.tls")
    return None


def narrowed(rules: EgressRules, workspace: Policy | None, source: Policy | None) -> EgressRules:
    """The operator's rules with the private networks of these policies.

    The workspace's are opened, whatever the operator's switch says; the source's only narrow.
    What the operator denies, and the proxy's own services, stay out of reach.
    """
    opened = None if workspace is None else workspace.upstream.private
    if opened is not None:
        rules = replace(rules, allow_private=False, allowed_networks=opened)
    kept = None if source is None else source.upstream.private
    if kept is not None:
        common = kept if rules.allow_private else _common(rules.allowed_networks, kept)
        rules = replace(rules, allow_private=False, allowed_networks=common)
    return rules


def _common(ones: Sequence[Network], others: Sequence[Network]) -> tuple[Network, ...]:
    """What is in both: of two networks that overlap, one holds the other."""
    return tuple(
        one if one.prefixlen >= other.prefixlen else other
        for one in ones
        for other in others
        if one.version == other.version and one.overlaps(other)
    )


def _holds(ranges: Iterable[tuple[int, int]], port: int) -> bool:
    return any(first <= port <= last for first, last in ranges)


def _allows(rules: Upstream, profile: str, now: datetime) -> bool:
    return any(
        allowed.profile == profile and (allowed.expires is None or now.date() <= allowed.expires)
        for allowed in rules.tls or ()
    )


def _matches(pattern: str, host: str) -> bool:
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(".*".join(parts), host.lower()) is not None


def _no(what: str, rule: str) -> Refusal:
    return Refusal(
        Reason.NOT_PERMITTED,
        f"refused by policy: the data source's {what} not among the allowed ({rule})",
    )
