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
from itertools import product

from policies.decide import ALLOWED, Verdict
from policies.document import Policy, Upstream
from policies.egress import Address, EgressRules, Network, check_address
from protocols.errors import Refusal


@dataclass(frozen=True, slots=True)
class Destination:
    """One host of a source, as far as this is concerned. ``profile`` is its TLS's, or ``none``."""

    host: str
    port: int
    profile: str


def check_upstream(
    policies: Iterable[Policy | None], places: Sequence[Destination], *, now: datetime
) -> Refusal | None:
    """Why a source may not be used, or None: the first policy that says no to a host decides."""
    verdict = judge_upstream(policies, places, now=now)
    if verdict.is_allowed:
        return None
    return Refusal(verdict.reason, f"refused by policy: {verdict.message} ({verdict.rule})")


def judge_upstream(
    policies: Iterable[Policy | None], places: Sequence[Destination], *, now: datetime
) -> Verdict:
    """The same, with the rule and what it was asked about."""
    known = [policy for policy in policies if policy is not None]
    for policy, place in product(known, places):
        rules = policy.upstream
        if rules.hosts is not None and not any(
            _matches(pattern, place.host) for pattern in rules.hosts
        ):
            return _no("host is", "upstream.hosts", place.host)
        if rules.ports is not None and not _holds(rules.ports, place.port):
            return _no("port is", "upstream.ports", str(place.port))
        if rules.tls is not None and not _allows(rules, place.profile, now):
            return _no(f"TLS profile {place.profile} is", "upstream.tls", place.profile)
    return ALLOWED


def judge_address(
    address: Address,
    port: int,
    egress: EgressRules,
    workspace: Policy | None,
    source: Policy | None,
) -> Verdict:
    """May this address be dialled, by the operator's rules as the policies narrow them."""
    rules = narrowed(egress, workspace, source)
    refusal = check_address(address, port, rules)
    if refusal is None:
        return ALLOWED
    rule = "egress"
    if not _holds(rules.ports, port):
        rule = "egress.ports"
    elif check_address(address, port, replace(rules, allow_private=True)) is None:
        policies = (one for one in (workspace, source) if one is not None)
        is_named = any(policy.upstream.private is not None for policy in policies)
        rule = "upstream.private" if is_named else "egress.allow_private"
    return Verdict(
        is_allowed=False, rule=rule, object=f"{address} port {port}", message=refusal.private
    )


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


def _no(what: str, rule: str, about: str) -> Verdict:
    return Verdict(
        is_allowed=False,
        rule=rule,
        object=about,
        message=f"the data source's {what} not among the allowed",
    )
