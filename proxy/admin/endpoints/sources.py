"""Data sources. Secrets come in and never go out: answers say only whether one is stored."""

from __future__ import annotations

from fastapi import Request, Response

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint
from proxy.admin.endpoints.source_shapes import (
    EditSource,
    NewSource,
    Removed,
    RotateSource,
    SourceAnswer,
    TestAnswer,
)
from proxy.admin.etags import check_if_match, etag_of
from proxy.admin.paging import DEFAULT, page_of
from proxy.admin.shapes import Cursor, Limit, Page, SourceName, WorkspaceName
from proxy.administration import sources as work
from proxy.administration.probing import ask_running
from proxy.store import Source


def tag(source: Source) -> str:
    """The ETag of a source: of all that an edit or a rotation changes."""
    return etag_of(
        "source", source.id, source.version, source.password_version, source.client_key_version
    )


async def list_sources(
    call: Admitted, workspace: WorkspaceName, limit: Limit = DEFAULT, cursor: Cursor = None
) -> Page[SourceAnswer]:
    """By name."""
    found = await call.office.store.list_sources(call.here)
    page, following = page_of("sources", found, lambda source: (0, source.name), cursor, limit)
    return Page(items=[SourceAnswer.of(source) for source in page], next_cursor=following)


async def create_source(
    call: Admitted, workspace: WorkspaceName, body: NewSource, response: Response
) -> SourceAnswer:
    """Its secrets are sealed to exactly this engine, host, port, user and TLS."""
    tls = body.tls.settings()
    secrets = body.given(tls)
    draft = body.draft(call.here, tls, secrets)
    made = await work.add_source(call.place, call.here, draft, secrets)
    response.headers["Location"] = f"/v1/workspaces/{call.here.name}/sources/{made.name}"
    return _tagged(made, response)


async def get_source(
    call: Admitted, workspace: WorkspaceName, source: SourceName, response: Response
) -> SourceAnswer:
    """One source."""
    return _tagged(await call.source(source), response)


async def edit_source(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    body: EditSource,
    request: Request,
    response: Response,
) -> SourceAnswer:
    """Where it then points elsewhere, every stored secret must be given again."""
    found = await call.source(source)
    check_if_match(request, tag(found))
    edited = body.applied_to(found)
    secrets = body.given(edited.tls)
    made = await work.edit_source(
        call.place, call.here, found, edited, secrets, forget=body.forgotten()
    )
    return _tagged(made, response)


async def rotate_source(
    call: Admitted,
    workspace: WorkspaceName,
    source: SourceName,
    body: RotateSource,
    response: Response,
) -> SourceAnswer:
    """Sessions that are open go on; the next login uses the new secrets."""
    found = await call.source(source)
    made = await work.rotate_source(
        call.place,
        call.here,
        found,
        body.given_password(),
        body.given_key(),
        body.client_certificate,
    )
    return _tagged(made, response)


async def test_source(call: Admitted, workspace: WorkspaceName, source: SourceName) -> TestAnswer:
    """The running proxy logs in at what is stored, with what is stored, and out again."""
    found = await call.source(source)
    result = await ask_running(call.office.client, call.here.name, found.name, source_id=found.id)
    return TestAnswer.of(result)


async def remove_source(
    call: Admitted, workspace: WorkspaceName, source: SourceName, request: Request
) -> Removed:
    """With its secrets; its sessions end within a second."""
    found = await call.source(source)
    check_if_match(request, tag(found))
    await work.remove_source(call.place, found, if_unchanged=True)
    return Removed(id=found.id, name=found.name, removed_at=call.office.clock())


def _tagged(source: Source, response: Response) -> SourceAnswer:
    response.headers["ETag"] = tag(source)
    return SourceAnswer.of(source)


_ALL = "/v1/workspaces/{workspace}/sources"
_ONE = f"{_ALL}/{{source}}"

ENDPOINTS = (
    Endpoint("GET", _ALL, "listSources", list_sources, "List data sources"),
    Endpoint(
        "POST",
        _ALL,
        "createSource",
        create_source,
        "Add a data source",
        status=201,
        has_body=True,
    ),
    Endpoint("GET", _ONE, "getSource", get_source, "Show a data source"),
    Endpoint(
        "PATCH",
        _ONE,
        "editSource",
        edit_source,
        "Change a data source",
        has_body=True,
        is_guarded=True,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/rotate",
        "rotateSource",
        rotate_source,
        "Give a data source new secrets",
        has_body=True,
        may_conflict=True,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/test",
        "testSource",
        test_source,
        "Test a data source",
        asks_proxy=True,
    ),
    Endpoint(
        "DELETE", _ONE, "removeSource", remove_source, "Remove a data source", is_guarded=True
    ),
)
