"""``accode-proxy policy``: what workspaces may do, and why."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from policies.document import MAX_DOCUMENT, UNRESTRICTED, Policy, PolicyError, read_policy
from policies.effective import EffectivePolicy
from policies.facts import StatementFacts
from proxy.administration import policies
from proxy.administration.workplace import open_reading, open_workplace
from proxy.commands import display
from proxy.commands.frame import CommandError, Group, Invocation, everywhere
from proxy.store import Source

REFUSED = 3
"""Exit status of ``policy check`` where the statement would be refused."""

source_option = click.option("--source", help="The policy that narrows it for one source.")


@click.group(cls=Group)
def policy() -> None:
    """Policies: show, set, clear, check. docs/policies.md has the document."""


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
    read = _read(document)

    async def work() -> None:
        async with open_workplace(invocation.config(), invocation.note) as place:
            await policies.set_policy(place, workspace, source, read)

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
            await policies.set_policy(place, workspace, source, None)

    asyncio.run(work())
    invocation.show({"policy": None, "digest": None}, f"{name} has no policy of its own now.")


@policy.command(
    examples=(
        'accode-proxy policy check finance --source orders "SELECT * FROM orders"',
        "accode-proxy policy check finance --source orders --policy draft.toml - < report.sql",
    )
)
@click.argument("workspace")
@click.argument("statement")
@click.option("--source", required=True, help="The source that it would run at.")
@click.option(
    "--policy",
    "draft",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Ask this file instead of the stored policies.",
)
@everywhere
def check(
    invocation: Invocation, workspace: str, statement: str, source: str, draft: Path | None
) -> None:
    """Say whether a statement would be refused, by which rule, and what it was read as.

    STATEMENT - reads it from standard input. The exit status is 3 where it would be refused.
    """
    text = sys.stdin.buffer.read() if statement == "-" else statement.encode()
    given = None if draft is None else _read(draft)

    async def work() -> tuple[EffectivePolicy, Source]:
        async with open_reading(invocation.config()) as store:
            found, narrowed = await policies.find(store, workspace, source)
            assert narrowed is not None, "a source is always named here"
            layers = (found.policy, narrowed.policy) if given is None else (given,)
            return EffectivePolicy.of(*layers), narrowed

    effective, found = asyncio.run(work())
    said = policies.explain(effective, found, text)
    verdict = said.verdict
    pairs = [
        ("Verdict", "allowed" if verdict.is_allowed else "refused"),
        ("Rule", verdict.rule or ("none" if said.is_judged else "nothing is judged: full access")),
        ("Object", verdict.object or "none"),
        ("Because", verdict.message or "no rule speaks against it"),
    ]
    if said.facts.problem:
        pairs.append(("Not understood", said.facts.problem))
    for number, facts in enumerate(said.facts.statements, start=1):
        pairs.append((f"Statement {number}", _in_words(facts)))
    invocation.show(
        {
            "allowed": verdict.is_allowed,
            "rule": verdict.rule,
            "object": verdict.object,
            "message": verdict.message,
            "problem": said.facts.problem,
            "statements": [_value(facts) for facts in said.facts.statements],
        },
        display.facts(pairs),
    )
    if not verdict.is_allowed:
        sys.exit(REFUSED)


_NONE = "No policy is set: the database's own privileges decide."


def _read(file: Path) -> Policy:
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_DOCUMENT + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_DOCUMENT + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8") from None
    is_json = file.suffix == ".json" or text.lstrip().startswith("{")
    try:
        return read_policy(text, "json" if is_json else "toml")
    except PolicyError as error:
        raise CommandError(f"the policy was not set: {error}") from None


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
