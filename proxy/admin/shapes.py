"""What bodies may hold and answers hold, beyond one resource: pages, problems, moments.

A body's unknown fields are refused, and numbers and flags are what they say they are. An
answer is made field by field from a record, so that nothing gets into one by itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from proxy.admin import paging

T = TypeVar("T")


class Body(BaseModel):
    """A body: nothing that is not named here."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Answer, Generic[T]):
    """A part of a list. ``next_cursor``: what to ask on with; null at the end."""

    items: list[T]
    next_cursor: str | None = Field(
        default=None, description="Give it as `cursor` to read on; null at the end."
    )


class WrongPlace(Answer):
    """What is wrong at one place of a call."""

    detail: str
    pointer: str | None = Field(default=None, description="A JSON pointer into the body.")
    parameter: str | None = Field(default=None, description="A query or path parameter.")


class ProblemDocument(Answer):
    """Why a call was refused (RFC 9457)."""

    type: str = Field(examples=["urn:accode-proxy:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no such resource."])
    instance: str = Field(examples=["urn:uuid:5a3c1b1e-6f0d-4a58-9c53-0d6a1e0f6b7c"])
    errors: list[WrongPlace] | None = None


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a moment is text")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_text)]
"""A moment in a body: ISO 8601 with its time zone."""

Limit = Annotated[int, Query(ge=1, le=paging.MOST, description="The most entries of a page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=paging.CURSOR_LIMIT, description="`next_cursor` of the page before."),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""A name in a body, as the store takes it."""
WorkspaceName = Annotated[str, Path(description="A workspace's name.", examples=["finance"])]
SourceName = Annotated[str, Path(description="A data source's name.", examples=["orders"])]
KeyId = Annotated[str, Path(description="An API key's id.", examples=["4fT9aQ2xZk"])]
TokenId = Annotated[str, Path(description="A token's id.", examples=["4fT9aQ2xZk"])]
# Functions of every kind of document have them under one name, paths do not.
WorkflowName = Annotated[
    str, Path(alias="workflow", description="A workflow's name.", examples=["nightly"])
]
DashboardName = Annotated[
    str, Path(alias="dashboard", description="A dashboard's name.", examples=["sales"])
]
TransferId = Annotated[str, Path(description="A transfer's id.", examples=["5f0c1d2e3a4b5c6d"])]
RunId = Annotated[str, Path(description="A run's id.", examples=["5f0c1d2e3a4b5c6d"])]
Label = Annotated[str, Field(min_length=1, max_length=128, examples=["nightly report"])]


def rank_of_age(created_at: datetime, name: str) -> paging.Rank:
    """The newest first, as the store lists tokens and keys."""
    return -int(created_at.timestamp() * 1_000_000), name
