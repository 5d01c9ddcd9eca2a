"""The description of all this, for who has a key."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from proxy.admin.call import Admitted
from proxy.admin.endpoint import Endpoint


async def get_openapi(call: Admitted, request: Request) -> dict[str, Any]:
    """OpenAPI 3.1; `accode-proxy admin openapi` prints the same."""
    document: dict[str, Any] = request.app.openapi()
    return document


ENDPOINTS = (
    Endpoint("GET", "/v1/openapi.json", "getOpenApi", get_openapi, "Show this description"),
)
