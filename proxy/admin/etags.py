"""ETags against lost updates (RFC 9110, 8.8.3 and 13.1.1): If-Match, and no other condition."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from starlette.requests import Request

from proxy.admin.problems import Problem

_TAG = re.compile(r'"[0-9a-f]{32}"')


def etag_of(*parts: Any) -> str:
    """A strong tag for what these values describe."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def check_if_match(request: Request, current: str) -> None:
    """Raise Problem unless the call names the tag that the resource has now.

    ``*`` is not taken: it would say that the caller has not looked.
    """
    given = request.headers.getlist("if-match")
    if not given:
        raise Problem(
            428,
            "if-match-needed",
            "Give the ETag that the resource was read with as If-Match.",
        )
    tags = [tag.strip() for tag in ",".join(given).split(",")]
    if not all(_TAG.fullmatch(tag) for tag in tags) or len(tags) > 10:
        raise Problem(400, "malformed", "If-Match must hold the ETag as it was answered.")
    if current not in tags:
        raise Problem(412, "changed-meanwhile", "The resource was changed; read it again.")
