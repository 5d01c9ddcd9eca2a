"""Policies tried on what was run: what a draft would have refused. Changes and runs nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, StrictInt

from policies.document import policy_from
from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.shapes import Answer, Body, SourceName, WorkspaceName
from proxy.administration.policies import draft_for
from proxy.administration.trying import Example, Tried, Unjudged
from proxy.administration.trying_apart import try_apart
from proxy.store import Source

MOST = 10_000
"""Statements of one trial."""


class Try(Body):
    """A policy to be tried."""

    policy: dict[str, Any] = Field(
        description="docs/policies.md has the document.",
        examples=[{"version": 1, "access": "read-only"}],
    )
    last: Annotated[StrictInt, Field(ge=1, le=MOST)] = Field(
        default=1_000, description="How many of the newest statements of the audit log."
    )


class RuleCount(Answer):
    """What one rule would have refused; ``newly_refused`` of it had not been refused then."""

    rule: str
    refused: int
    newly_refused: int


class ReasonCount(Answer):
    """Statements of which nothing is said, and why."""

    reason: str
    sentence: str
    count: int


class TriedStatement(Answer):
    """An example, with the place of its record in the log.

    ``rule`` is empty where it cannot be judged. Texts are cut: the record has the whole one.
    """

    rule: str
    object: str
    message: str
    chain: str
    sequence: int
    statement: str
    session: str
    source: str
    time: datetime
    kind: str
    outcome: str
    text: str

    @classmethod
    def of(cls, one: Example) -> TriedStatement:
        """From the finding."""
        return cls(
            rule=one.rule,
            object=one.object,
            message=one.message,
            chain=one.chain,
            sequence=one.sequence,
            statement=one.statement,
            session=one.session,
            source=one.source,
            time=datetime.fromtimestamp(one.time / 1000, UTC),
            kind=one.kind,
            outcome=one.outcome,
            text=one.text,
        )


class TrialAnswer(Answer):
    """What the draft says of the newest statements; nothing was run.

    ``found`` is the sum of ``allowed``, ``refused`` and ``unjudged``. ``is_complete`` false: the
    time was up before the newest ones. ``is_restricted`` false: the draft has no rule on
    statements. ``not_asked``: rules of the draft that a statement's record says nothing about.
    """

    found: int
    allowed: int
    refused: int
    newly_refused: int
    newly_allowed: int
    unjudged: int
    is_complete: bool
    is_restricted: bool
    not_asked: list[str]
    rules: list[RuleCount]
    reasons: list[ReasonCount]
    examples: list[TriedStatement]

    @classmethod
    def of(cls, tried: Tried) -> TrialAnswer:
        """From what was found, the rule that refuses most first."""
        rules = sorted(tried.rules.items(), key=lambda item: (-item[1].refused, item[0]))
        return cls(
            found=tried.found,
            allowed=tried.allowed,
            refused=tried.refused,
            newly_refused=tried.newly_refused,
            newly_allowed=tried.newly_allowed,
            unjudged=tried.unjudged,
            is_complete=tried.is_complete,
            is_restricted=tried.is_restricted,
            not_asked=tried.not_asked,
            rules=[
                RuleCount(rule=rule, refused=one.refused, newly_refused=one.newly)
                for rule, one in rules
            ],
            reasons=[
                ReasonCount(reason=name, sentence=Unjudged[name.upper()].value, count=count)
                for name, count in sorted(tried.reasons.items())
            ],
            examples=[TriedStatement.of(one) for one in tried.examples],
        )


async def try_policy(call: Admitted, workspace: WorkspaceName, body: Try) -> TrialAnswer:
    """In the place of the workspace's policy, on the statements of all its sources."""
    return await _tried(call, None, body)


async def try_source_policy(
    call: Admitted, workspace: WorkspaceName, source: SourceName, body: Try
) -> TrialAnswer:
    """In the place of the source's policy, on the statements of that source."""
    return await _tried(call, await call.source(source), body)


async def _tried(call: Call, source: Source | None, body: Try) -> TrialAnswer:
    office = call.office
    draft = await draft_for(office.store, call.here, source, policy_from(body.policy))
    async with office.reading():
        tried = await try_apart(office.config.audit.folder, draft, call.here.id, body.last)
    return TrialAnswer.of(tried)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/workspaces/{workspace}/policy/try",
        "tryPolicy",
        try_policy,
        "Try a workspace's policy on what was run",
        has_body=True,
    ),
    Endpoint(
        "POST",
        "/v1/workspaces/{workspace}/sources/{source}/policy/try",
        "trySourcePolicy",
        try_source_policy,
        "Try a source's policy on what was run",
        has_body=True,
    ),
)
