"""Policies of a workspace and of a source: read, put, compared, tried on a statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import Field

from policies.decide import Verdict
from policies.document import Policy, policy_from
from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.problems import not_found
from proxy.admin.shapes import Answer, Body, Moment, SourceName, WorkspaceName
from proxy.administration import policies as work
from proxy.administration.explaining import Asked, explain_source, explain_statement
from proxy.store import Source
from proxy.store.records import PolicyVersion

Document = dict[str, Any]
Number = Annotated[int, Query(ge=1, le=2**62, description="A version's number.")]


class PutPolicy(Body):
    """A policy to be put."""

    policy: Document = Field(
        description="docs/policies.md has the document.",
        examples=[{"version": 1, "access": "read-only"}],
    )


class PolicyAnswer(Answer):
    """A policy; null: none is set. ``warnings``: what cannot be used any more."""

    policy: Document | None
    digest: str | None
    warnings: list[str] = Field(default_factory=list)


class VersionAnswer(Answer):
    """A policy as it was put at a time; null: it was taken away then."""

    number: int
    policy: Document | None
    digest: str | None
    put_by: str
    put_at: datetime

    @classmethod
    def of(cls, version: PolicyVersion) -> VersionAnswer:
        """From the record."""
        return cls(
            number=version.number,
            policy=_value(version.policy),
            digest=_digest(version.policy),
            put_by=version.actor,
            put_at=version.at,
        )


class History(Answer):
    """What was put, the newest first; the newest hundred are kept."""

    items: list[VersionAnswer]


class DifferenceAnswer(Answer):
    """One place where two policies differ; null: not there."""

    path: list[str]
    before: Any
    after: Any


class Comparison(Answer):
    """Where two versions differ."""

    items: list[DifferenceAnswer]


class Check(Body):
    """A statement to be tried. ``policy``: ask this one instead of the stored ones."""

    statement: Annotated[str, Field(min_length=1, max_length=100_000, examples=["SELECT 1"])]
    policy: Document | None = None
    at: Moment | None = Field(default=None, description="When; else now.")


class VerdictAnswer(Answer):
    """What is said of it. ``rule`` and ``object``: by which rule, about what."""

    allowed: bool
    rule: str
    object: str
    message: str

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictAnswer:
        """From the verdict."""
        return cls(
            allowed=verdict.is_allowed,
            rule=verdict.rule,
            object=verdict.object,
            message=verdict.message,
        )


class Checked(Answer):
    """What the policies say of the source's place and of the statement; nothing was run."""

    allowed: bool
    source: VerdictAnswer
    statement: VerdictAnswer
    is_judged: bool = Field(description="False: no policy restricts statements here.")
    problem: str = Field(description="What of the statement was not understood.")


async def get_policy(call: Admitted, workspace: WorkspaceName, response: Response) -> PolicyAnswer:
    """The workspace's."""
    return _answered(call.here.policy, response)


async def put_policy(
    call: Admitted, workspace: WorkspaceName, body: PutPolicy, request: Request, response: Response
) -> PolicyAnswer:
    """Sessions under the one before end within a second."""
    return await _set(call, None, policy_from(body.policy), request, response)


async def clear_policy(
    call: Admitted, workspace: WorkspaceName, request: Request, response: Response
) -> PolicyAnswer:
    """What it did not allow is allowed again."""
    return await _set(call, None, None, request, response)


async def get_policy_history(call: Admitted, workspace: WorkspaceName) -> History:
    """The workspace's."""
    return await _history(call, None)


async def compare_policies(
    call: Admitted, workspace: WorkspaceName, before: Number, after: Number
) -> Comparison:
    """Two versions of the workspace's history."""
    return await _compared(call, None, before, after)


async def get_source_policy(
    call: Admitted, workspace: WorkspaceName, source: SourceName, response: Response
) -> PolicyAnswer:
    """The one that narrows the workspace's for this source."""
    return _answered((await call.source(source)).policy, response)


async def put_source_policy(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    body: PutPolicy,
    request: Request,
    response: Response,
) -> PolicyAnswer:
    """It can only narrow; sessions under the one before end within a second."""
    found = await call.source(source)
    return await _set(call, found, policy_from(body.policy), request, response)


async def clear_source_policy(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    request: Request,
    response: Response,
) -> PolicyAnswer:
    """The workspace's alone holds then."""
    return await _set(call, await call.source(source), None, request, response)


async def get_source_policy_history(
    call: Admitted, workspace: WorkspaceName, source: SourceName
) -> History:
    """The source's."""
    return await _history(call, await call.source(source))


async def compare_source_policies(
    call: Admitted, workspace: WorkspaceName, source: SourceName, before: Number, after: Number
) -> Comparison:
    """Two versions of the source's history."""
    return await _compared(call, await call.source(source), before, after)


async def check_statement(
    call: Admitted, workspace: WorkspaceName, source: SourceName, body: Check
) -> Checked:
    """Whether a statement would be refused, and by which rule. Nothing is dialled or run."""
    found = await call.source(source)
    now = body.at or call.office.clock()
    asked = Asked(call.here.policy, found.policy, found, now)
    if body.policy is not None:
        asked = Asked(policy_from(body.policy), None, found, now)
    place = explain_source(asked, call.office.config.egress)
    said = explain_statement(asked, body.statement.encode())
    return Checked(
        allowed=place.is_allowed and said.verdict.is_allowed,
        source=VerdictAnswer.of(place),
        statement=VerdictAnswer.of(said.verdict),
        is_judged=said.is_judged,
        problem=said.facts.problem,
    )


def _value(policy: Policy | None) -> Document | None:
    return None if policy is None else policy.to_value()


def _digest(policy: Policy | None) -> str | None:
    return None if policy is None else policy.digest


def _answered(
    policy: Policy | None, response: Response, warnings: Sequence[str] = ()
) -> PolicyAnswer:
    response.headers["ETag"] = etag_of("policy", _digest(policy))
    return PolicyAnswer(policy=_value(policy), digest=_digest(policy), warnings=list(warnings))


async def _set(
    call: Call, source: Source | None, policy: Policy | None, request: Request, response: Response
) -> PolicyAnswer:
    before = call.here.policy if source is None else source.policy
    check_if_match(request, etag_of("policy", _digest(before)))
    await work.set_policy(call.place, call.here, source, policy, if_unchanged=True)
    return _answered(policy, response, call.warnings)


async def _history(call: Call, source: Source | None) -> History:
    found = await call.office.store.policies.history(call.here, source)
    return History(items=[VersionAnswer.of(version) for version in found])


async def _compared(call: Call, source: Source | None, before: int, after: int) -> Comparison:
    found = await call.office.store.policies.history(call.here, source)
    versions = {version.number: version.policy for version in found}
    if before not in versions or after not in versions:
        raise not_found()
    found_differences = work.differences(versions[before], versions[after])
    return Comparison(
        items=[
            DifferenceAnswer(path=list(one.path), before=one.before, after=one.after)
            for one in found_differences
        ]
    )


_WORKSPACE = "/v1/workspaces/{workspace}/policy"
_SOURCE = "/v1/workspaces/{workspace}/sources/{source}/policy"


def _endpoint(method: Any, path: str, name: str, function: Any, summary: str) -> Endpoint:
    return Endpoint(
        method,
        path,
        name,
        function,
        summary,
        has_body=method in ("PUT", "POST"),
        is_guarded=method in ("PUT", "DELETE"),
    )


ENDPOINTS = (
    _endpoint("GET", _WORKSPACE, "getPolicy", get_policy, "Show a workspace's policy"),
    _endpoint("PUT", _WORKSPACE, "putPolicy", put_policy, "Put a workspace's policy"),
    _endpoint("DELETE", _WORKSPACE, "clearPolicy", clear_policy, "Take a workspace's policy away"),
    _endpoint(
        "GET",
        f"{_WORKSPACE}/history",
        "getPolicyHistory",
        get_policy_history,
        "Show what a workspace's policy was",
    ),
    _endpoint(
        "GET",
        f"{_WORKSPACE}/diff",
        "comparePolicies",
        compare_policies,
        "Compare two versions of a workspace's policy",
    ),
    _endpoint("GET", _SOURCE, "getSourcePolicy", get_source_policy, "Show a source's policy"),
    _endpoint("PUT", _SOURCE, "putSourcePolicy", put_source_policy, "Put a source's policy"),
    _endpoint(
        "DELETE",
        _SOURCE,
        "clearSourcePolicy",
        clear_source_policy,
        "Take a source's policy away",
    ),
    _endpoint(
        "GET",
        f"{_SOURCE}/history",
        "getSourcePolicyHistory",
        get_source_policy_history,
        "Show what a source's policy was",
    ),
    _endpoint(
        "GET",
        f"{_SOURCE}/diff",
        "compareSourcePolicies",
        compare_source_policies,
        "Compare two versions of a source's policy",
    ),
    _endpoint(
        "POST",
        f"{_SOURCE}/check",
        "checkStatement",
        check_statement,
        "Try a statement on the policies",
    ),
)
