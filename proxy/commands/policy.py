"""``accode-proxy policy``: what workspaces may do, and why."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import click

from policies.decide import ALLOWED, Verdict
from policies.document import UNRESTRICTED, Policy
from policies.egress import Address
from policies.facts import StatementFacts
from proxy.administration import policies
from proxy.administration.explaining import (
    Asked,
    explain_client,
    explain_source,
    explain_statement,
)
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.commands.policy_file import read_policy_file
from proxy.commands.policy_history import diff, history
from proxy.commands.policy_try import try_

REFUSED = 3
"""Exit status of ``policy check`` where the statement would be refused."""

source_option = click.option("--source", help="The policy that narrows it for one source.")


@click.group(cls=Group)
def policy() -> None:
    """Policies: show, set, clear, check, try, history, diff. docs/policies.md has the document."""


policy.add_command(try_)
policy.add_command(history)
policy.add_command(diff)


@policy.command(
    examples=(
        "accode-proxy policy show finance",
        "accode-proxy policy show finance --source orders",
    )
)
@click.argument("workspace")
@source_option
@everywhere
def show(invocation: Invocation, workspace: str, source: str | None) -> None:
    """Print the policy of a workspace, or of one of its sources, as JSON."""

    async def work() -> Policy | None:
        async with open_reading(invocation.config()) as store:
            found, narrowed = await policies.find(store, workspace, source)
            return found.policy if narrowed is None else narrowed.policy

    found = asyncio.run(work())
    invocation.show(
        {"policy": None if found is None else found.to_value(), "digest": _digest(found)},
        _NONE if found is None else found.to_json(),
    )


@policy.command(
    "set",
    examples=(
        "accode-proxy policy set finance dashboard.toml",
        "accode-proxy policy set finance --source orders - < narrower.json",
    ),
)
@click.argument("workspace")
@click.argument("document", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@source_option
@everywhere
def set_(invocation: Invocation, workspace: str, document: Path, source: str | None) -> None:
    """Put a policy, from TOML or JSON; sessions under the one before end within a second."""
    read = read_policy_file(document)

    async def work() -> None:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found, narrowed = await policies.find(place.store, workspace, source)
            await policies.set_policy(place, found, narrowed, read)

    asyncio.run(work())
    invocation.show(
        {"policy": read.to_value(), "digest": read.digest},
        f"Set the policy of {_name(workspace, source)} ({read.access}).",
    )


@policy.command(examples=("accode-proxy policy clear finance --source orders",))
@click.argument("workspace")
@source_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@everywhere
def clear(invocation: Invocation, workspace: str, source: str | None, yes: bool) -> None:
    """Take a policy away: what it did not allow is allowed again."""
    name = _name(workspace, source)
    invocation.confirm(f"Take away the policy of {name}?", is_confirmed=yes)

    async def work() -> None:
        async with open_workplace(invocation.config(), invocation.note) as place:
            found, narrowed = await policies.find(place.store, workspace, source)
            await policies.set_policy(place, found, narrowed, None)

    asyncio.run(work())
    invocation.show({"policy": None, "digest": None}, f"{name} has no policy of its own now.")


@policy.command(
    examples=(
        'accode-proxy policy check finance --source orders "SELECT * FROM orders"',
        "accode-proxy policy check finance --source orders --policy draft.toml - < report.sql",
        "accode-proxy policy check finance --source orders"
        " --from 10.20.0.7 --at 2026-12-01T23:30+01:00 --tls",
    )
)
@click.argument("workspace")
@click.argument("statement", required=False)
@click.option("--source", required=True, help="The source that it would run at.")
@click.option("--from", "address", metavar="ADDRESS", help="The client's address.")
@click.option("--at", metavar="TIME", help="When: ISO 8601 with its time zone; else now.")
@click.option("--tls/--no-tls", "is_encrypted", default=None, help="How the client comes.")
@click.option(
    "--policy",
    "draft",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Ask this file instead of the stored policies.",
)
@everywhere
def check(
    invocation: Invocation,
    workspace: str,
    statement: str | None,
    source: str,
    address: str | None,
    at: str | None,
    is_encrypted: bool | None,
    draft: Path | None,
) -> None:
    """Say whether a source, a client and a statement would be refused, and by which rule.

    The first no is the verdict, with exit status 3. What is not given is not asked about.
    STATEMENT - reads it from standard input.
    """
    text = sys.stdin.buffer.read() if statement == "-" else (statement or "").encode()
    given = None if draft is None else read_policy_file(draft)
    client = None if address is None else _address(address)
    now = datetime.now(UTC) if at is None else _moment(at)
    config = invocation.config()

    async def work() -> Asked:
        async with open_reading(config) as store:
            found, narrowed = await policies.find(store, workspace, source)
            assert narrowed is not None, "a source is always named here"
            if given is not None:
                return Asked(given, None, narrowed, now)
            return Asked(found.policy, narrowed.policy, narrowed, now)

    asked = asyncio.run(work())
    place = explain_source(asked, config.egress)
    visit = None
    if client is not None or at is not None or is_encrypted is not None:
        visit = explain_client(asked, client, at is not None, is_encrypted)
    said = None if statement is None else explain_statement(asked, text)
    verdicts = [place, visit, None if said is None else said.verdict]
    verdict = next((one for one in verdicts if one is not None and not one.is_allowed), ALLOWED)
    is_judged = said is None or said.is_judged or not verdict.is_allowed
    hosts = ", ".join(f"{one.host} port {one.port}" for one in asked.source.endpoints)
    pairs = [
        ("Verdict", "allowed" if verdict.is_allowed else "refused"),
        ("Rule", verdict.rule or ("none" if is_judged else "nothing is judged: full access")),
        ("Object", verdict.object or "none"),
        ("Because", verdict.message or "no rule speaks against it"),
        ("Source", f"{hosts}: {_in_short(place)}"),
    ]
    if visit is not None:
        pairs.append(("Client", _in_short(visit)))
    if said is not None and said.facts.problem:
        pairs.append(("Not understood", said.facts.problem))
    statements = () if said is None else said.facts.statements
    for number, facts in enumerate(statements, start=1):
        pairs.append((f"Statement {number}", _in_words(facts)))
    invocation.show(
        {
            **_answer(verdict),
            "source": _answer(place),
            "client": None if visit is None else _answer(visit),
            "statement": None if said is None else _answer(said.verdict),
            "problem": "" if said is None else said.facts.problem,
            "statements": [_value(facts) for facts in statements],
        },
        display.facts(pairs),
    )
    if not verdict.is_allowed:
        sys.exit(REFUSED)


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError:
        raise CommandError("--from is not an address") from None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError("--at is not a time in ISO 8601") from None
    if found.tzinfo is None:
        raise CommandError("--at needs its time zone, such as Z or +01:00")
    return found


def _answer(verdict: Verdict) -> dict[str, object]:
    return {
        "allowed": verdict.is_allowed,
        "rule": verdict.rule,
        "object": verdict.object,
        "message": verdict.message,
    }


def _in_short(verdict: Verdict) -> str:
    return "allowed" if verdict.is_allowed else f"refused ({verdict.rule})"


_NONE = "No policy is set: the database's own privileges decide."


def _name(workspace: str, source: str | None) -> str:
    return workspace if source is None else f"{workspace}/{source}"


def _digest(found: Policy | None) -> str:
    return (found or UNRESTRICTED).digest


def _in_words(facts: StatementFacts) -> str:
    said = [str(facts.kind)]
    for words, names in (
        ("reads", facts.reads),
        ("writes", facts.writes),
        ("calls", facts.functions),
        ("sets", facts.settings),
    ):
        if names:
            said.append(f"{words} {', '.join(sorted(map(str, names)))}")
    if facts.changes:
        said.append(f"changes {facts.changes}")
    if facts.forbidden:
        said.append(f"never below full: {facts.forbidden}")
    return "; ".join(said)


def _value(facts: StatementFacts) -> dict[str, object]:
    return {
        "kind": str(facts.kind),
        "nested": sorted(map(str, facts.nested)),
        "changes": facts.changes,
        "forbidden": facts.forbidden,
        "features": sorted(map(str, facts.features)),
        "reads": sorted(map(str, facts.reads)),
        "writes": sorted(map(str, facts.writes)),
        "columns": sorted(facts.columns),
        "reads_whole_rows": facts.reads_whole_rows,
        "functions": sorted(map(str, facts.functions)),
        "settings": sorted(facts.settings),
    }
