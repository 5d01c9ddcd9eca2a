"""Support grants on the host: seen, and ended; the workspace alone decides."""

from __future__ import annotations

from datetime import UTC, datetime

from proxy.administration.workplace import open_workplace
from proxy.config import load_config
from proxy.store import SupportGrant, new_id
from tests.cli.conftest import CommandLine
from tests.servers.loops import run_to_end


def asked_and_approved(line: CommandLine) -> str:
    """Ada of the support has access to ``finance``: the grant's id."""
    account = line.value("admin", "staff", "create", "ada", "--role", "support")

    async def work() -> str:
        async with open_workplace(load_config(line.file, {}), print) as place:
            workspace = await place.store.workspace("finance")
            grant = SupportGrant(
                id=new_id(),
                workspace_id=workspace.id,
                staff_id=account["id"],
                staff_name="ada",
                reason="ticket 4711",
                minutes=60,
                with_database=False,
                asked_at=datetime.now(UTC),
            )
            asked = await place.store.support.ask(grant)
            await place.store.support.decide(asked, "API key x", is_approved=True)
            return asked.id

    return run_to_end(work())


def test_a_grant_is_listed_and_ended(finance: CommandLine):
    listing = ("admin", "support", "list", "finance")
    assert finance.ok(*listing).strip() == "Nobody has asked for access."
    grant = asked_and_approved(finance)
    (listed,) = finance.value(*listing)
    assert (listed["id"], listed["staff"], listed["state"]) == (grant, "ada", "live")
    assert "ticket 4711" in finance.ok(*listing)
    assert "add --yes" in finance.refused("admin", "support", "end", "finance", grant)
    ended = finance.value("admin", "support", "end", "finance", grant, "--yes")
    assert ended["state"] == "ended"
    assert ended["ended_by"] == finance.value(*listing)[0]["ended_by"]
    told = [
        record["message"] for record in finance.records() if "upport grant" in record["message"]
    ]
    assert told


def test_another_workspaces_grant_is_not_found(finance: CommandLine):
    grant = asked_and_approved(finance)
    finance.ok("workspace", "create", "sales")
    for workspace, wanted in (("sales", grant), ("finance", "0" * 32)):
        said = finance.refused("admin", "support", "end", workspace, wanted, "--yes")
        assert said == f"There is no grant of that id in {workspace}."
    assert finance.value("admin", "support", "list", "finance")[0]["state"] == "live"
