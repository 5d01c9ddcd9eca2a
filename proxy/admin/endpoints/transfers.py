"""CSV files on their way: how far each is, whichever node or command carries it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from proxy.admin.call import Admitted, Call
from proxy.admin.endpoint import Endpoint
from proxy.admin.shapes import Answer, Page, TransferId, WorkspaceName
from proxy.content.transfers import transfer_value
from proxy.store.contents import Transfer


class TransferAnswer(Answer):
    """How far it was at ``told_at``, which is told once a second while it is carried."""

    id: str
    direction: Literal["export", "import"]
    source: str
    table: str | None = Field(description="null: a query is exported.")
    status: Literal["running", "succeeded", "failed", "lost"] = Field(
        description="lost: nobody has told of it for 30 s."
    )
    started_by: str
    started_at: datetime
    told_at: datetime
    rows: int
    bytes: int
    bad_lines: int
    bytes_per_second: int

    @classmethod
    def of(cls, call: Call, transfer: Transfer) -> TransferAnswer:
        """From the record."""
        return cls(**transfer_value(transfer, call.office.store.content.now()))


async def list_transfers(call: Admitted, workspace: WorkspaceName) -> Page[TransferAnswer]:
    """The newest first: the last hundred, which is one page."""
    found = await call.office.store.transfers.of(call.here)
    return Page(items=[TransferAnswer.of(call, one) for one in found], next_cursor=None)


async def get_transfer(
    call: Admitted, workspace: WorkspaceName, transfer_id: TransferId
) -> TransferAnswer:
    """One of them."""
    return TransferAnswer.of(call, await call.office.store.transfers.get(call.here, transfer_id))


_ALL = "/v1/workspaces/{workspace}/csv/transfers"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listTransfers", list_transfers, "List CSV files on their way"),
    Endpoint(
        "GET", f"{_ALL}/{{transfer_id}}", "getTransfer", get_transfer, "Show how far a file is"
    ),
)
