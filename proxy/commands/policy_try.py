"""``accode-proxy policy try``: what a policy would have refused of what was run."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path

import click

from proxy.administration import policies
from proxy.administration.trying import Draft, Example, Tried, Unjudged, try_policy
from proxy.administration.workplace import open_reading
from proxy.commands import display
from proxy.commands.frame import Command, Invocation, everywhere
from proxy.commands.policy_file import read_policy_file

MOST = 1_000_000
"""Statements: their places take some 100 bytes each."""


@click.command(
    "try",
    cls=Command,
    examples=(
        "accode-proxy policy try finance draft.toml",
        "accode-proxy policy try finance draft.toml --source orders --last 50000",
        "accode-proxy policy try finance - --json < draft.json",
    ),
)
@click.argument("workspace")
@click.argument("document", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--source", help="Try it in the place of this source's policy.")
@click.option(
    "--last",
    type=click.IntRange(1, MOST),
    default=1_000,
    show_default=True,
    help="How many of the newest statements.",
)
@everywhere
def try_(
    invocation: Invocation, workspace: str, document: Path, source: str | None, last: int
) -> None:
    """Hold a draft against the newest statements of the audit log. Nothing is run or set.

    Where a record does not say enough, that is counted apart: nothing is guessed.
    """
    policy = read_policy_file(document)
    config = invocation.config()

    async def work() -> tuple[Draft, str]:
        async with open_reading(config) as store:
            found, narrowed = await policies.find(store, workspace, source)
            return await policies.draft_for(store, found, narrowed, policy), found.id

    draft, tenant = asyncio.run(work())
    tried = try_policy(config.audit.folder, draft, tenant, last)
    invocation.show(asdict(tried), _as_text(tried))


def _as_text(tried: Tried) -> str:
    if not tried.found:
        return "The audit log has no statement of it."
    pairs = [
        ("Statements", str(tried.found)),
        ("Allowed", f"{tried.allowed}, of which {tried.newly_allowed} were refused then"),
        ("Refused", f"{tried.refused}, of which {tried.newly_refused} were not refused then"),
        ("Cannot be judged", str(tried.unjudged)),
    ]
    if not tried.is_restricted:
        pairs.append(("Note", "the policy has no rule on statements: nothing is judged"))
    if tried.not_asked:
        pairs.append(("Not asked", ", ".join(tried.not_asked)))
    parts = [display.facts(pairs)]
    rules = sorted(tried.rules.items(), key=lambda item: -item[1].refused)
    if rules:
        rows = [[rule, str(tally.refused), str(tally.newly)] for rule, tally in rules]
        parts.append(display.table(["RULE", "REFUSED", "NEWLY"], rows))
    if tried.reasons:
        rows = [[Unjudged[name.upper()].value, str(n)] for name, n in tried.reasons.items()]
        parts.append(display.table(["CANNOT BE JUDGED", "COUNT"], rows))
    if tried.examples:
        rows = [_row(one) for one in tried.examples]
        parts.append(display.table(["RULE", "BECAUSE", "RECORD", "STATEMENT"], rows))
    return "\n\n".join(parts)


def _row(one: Example) -> list[str]:
    text = " ".join(one.text.split())
    return [
        one.rule or "none",
        one.message,
        f"{one.chain}#{one.sequence}",
        text if len(text) <= _TEXT else text[: _TEXT - 3] + "...",
    ]


_TEXT = 80
