"""What the policies say of a source, of a client and of a statement, and by which rule.

In the order in which a session meets them; nothing is dialled, looked up or run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from policies.classifiers import classifier_for
from policies.client import judge_client
from policies.decide import Verdict
from policies.document import Policy
from policies.effective import EffectivePolicy
from policies.egress import Address, EgressRules
from policies.facts import TextFacts
from policies.length import longest_statement, too_long
from policies.upstream import judge_address, judge_upstream
from proxy.config import EgressConfig
from proxy.store import Source
from proxy.store.errors import NotFound


@dataclass(frozen=True, slots=True)
class Asked:
    """The policies that are asked, and the source. ``now`` is when: it knows its time zone."""

    workspace: Policy | None
    narrower: Policy | None
    source: Source
    now: datetime

    @property
    def effective(self) -> EffectivePolicy:
        """What holds of both at once."""
        return EffectivePolicy.of(self.workspace, self.narrower)


@dataclass(frozen=True, slots=True)
class Explained:
    """What a policy says of a text, and what was understood of it."""

    verdict: Verdict
    facts: TextFacts
    is_judged: bool


def explain_source(asked: Asked, egress: EgressConfig) -> Verdict:
    """Whether the source's hosts may be where they are. The addresses of a name are judged at
    each login.
    """
    source = asked.source
    policies = (asked.workspace, asked.narrower)
    verdict = judge_upstream(policies, source.places, now=asked.now)
    if not verdict.is_allowed:
        return verdict
    rules = EgressRules(allow_private=egress.allow_private, ports=egress.ports)
    for one in source.endpoints:
        try:
            address = ip_address(one.host)
        except ValueError:
            continue
        verdict = judge_address(address, one.port, rules, *policies)
        if not verdict.is_allowed:
            return verdict
    return verdict


def explain_client(
    asked: Asked, address: Address | None, is_at: bool, is_encrypted: bool | None
) -> Verdict:
    """Whether a client may come; what is not known of it (None, ``is_at``) is not asked about."""
    now = asked.now if is_at else None
    return judge_client(asked.effective, address, now=now, is_encrypted=is_encrypted)


def explain_statement(asked: Asked, text: bytes) -> Explained:
    """What would be said of a text. Raises NotFound for an engine that cannot be judged."""
    source, policy = asked.source, asked.effective
    classifier = classifier_for(source.engine)
    if classifier is None:
        raise NotFound(f"statements for {source.engine} cannot be judged")
    facts = classifier.classify(text)
    default = "public" if source.engine == "postgresql" else source.database
    verdict = policy.decide(facts, policy.schema(default))
    longest = longest_statement(policy.limits, source.engine)
    if longest is not None and len(text) > longest:
        verdict = too_long(longest)
    return Explained(verdict, facts, policy.is_restricted)
