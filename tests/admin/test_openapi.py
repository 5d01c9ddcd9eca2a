"""The description: complete, the same by both ways, and what the endpoints really do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from proxy.admin.app import ENDPOINTS, bare_app, describe
from proxy.admin.roles import OPERATIONS
from proxy.store import ApiRole
from tests.admin.rig import Prepared, Rig
from tests.admin.served import Served, served
from tests.admin.test_roles import OPEN

DOCUMENT = describe(bare_app())


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


async def test_it_is_served_to_who_has_a_key(rig: Rig):
    assert await rig.ok("GET", "/v1/openapi.json") == json.loads(json.dumps(DOCUMENT))
    assert (await rig.call("GET", "/v1/openapi.json", key="")).status_code == 401


def test_every_operation_is_described_and_none_else():
    found = {operation["operationId"] for _, _, operation in operations()}
    assert found == set(OPERATIONS) == {endpoint.operation_id for endpoint in ENDPOINTS}
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["security"] == [{"apiKey": []}]


def test_every_refusal_is_a_problem_document():
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            kinds = set(answer["content"])
            if int(status) >= 400:
                assert kinds == {"application/problem+json"}, (path, method, status)
            else:
                assert kinds <= {
                    "application/json",
                    "application/x-ndjson",
                    "text/csv",
                    "text/event-stream",
                    "text/csv; charset=utf-8; header=present",
                }


def test_every_body_refuses_unknown_fields_and_has_examples():
    schemas = DOCUMENT["components"]["schemas"]
    bodies = 0
    for _, _, operation in operations():
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            reference = content["application/json"]["schema"]["$ref"]
            assert schemas[reference.split("/")[-1]]["additionalProperties"] is False
            bodies += 1
    assert bodies == sum(endpoint.has_body for endpoint in ENDPOINTS)
    assert schemas["NewSource"]["properties"]["name"]["examples"]


def test_what_is_open_says_so_and_nothing_else_is():
    found = {one["operationId"] for _, _, one in operations() if one.get("security") == []}
    assert found == OPEN


SECRET_MAKERS = {"createKey", "createWorkspaceKey", "createToken", "createSupportToken"}


def test_no_answer_has_a_field_for_a_stored_secret():
    for path, method, operation in operations():
        names = set(_names(operation["responses"]))
        assert not names & {"password", "client_key", "client_secret", "verifier"}, (path, method)
        is_creation = operation["operationId"] in SECRET_MAKERS
        assert ("secret" in names) is is_creation
        is_invitation = operation["operationId"] in ("inviteStaff", "resetStaff")
        assert ("invitation" in names) is is_invitation


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value.get("properties", {})
        if "$ref" in value:
            name = value["$ref"].split("/")[-1]
            yield from _names(DOCUMENT["components"]["schemas"][name])
        for inner in value.values():
            yield from _names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _names(inner)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, prepared: Prepared) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served"), prepared) as made:
        yield made


EXAMPLES = 5


def test_what_is_answered_is_what_is_described(town: Served):
    """schemathesis: calls made from the description, right ones and wrong ones."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    rig = town.rig
    checks = (
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    )
    called: dict[str, int] = {}
    statuses: list[int] = []

    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def call(case: Any) -> None:
            known = {"workspace": "finance", "source": "orders"}
            known |= {"workflow": "nightly", "dashboard": "figures"}
            if sum(called.values()) % 2:
                # Half of them at something that is there: else all would be "not found".
                for name in known.keys() & case.path_parameters.keys():
                    case.path_parameters[name] = known[name]
            name = case.operation.definition.raw["operationId"]
            # Who may; what is a person's alone, as that person.
            wanted = OPERATIONS[name]
            roles = (ApiRole.OWNER, ApiRole.WORKSPACE_ADMIN, ApiRole.SUPPORT)
            role = next((one for one in roles if one in wanted.roles), ApiRole.OWNER)
            key = rig.people[role].token if wanted.is_persons else rig.keys[role]
            headers = {"Authorization": f"Bearer {key}"}
            response = case.call(base_url=town.url, headers=headers)
            statuses.append(response.status_code)
            assert response.status_code < 500, response.text
            case.validate_response(response, checks=checks)
            called[name] = called.get(name, 0) + 1

        call()
    assert called == dict.fromkeys(OPERATIONS, EXAMPLES)
    assert sum(status < 300 for status in statuses) > len(OPERATIONS)


def test_operation_ids_are_words_that_stay():
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-zA-Z]+)", name) for name in OPERATIONS)
