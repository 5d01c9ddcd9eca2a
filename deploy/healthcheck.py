#!/opt/accode-proxy/bin/python
"""The image's HEALTHCHECK: 0 where /healthz answers 200. Needs no curl, heeds no HTTP proxy."""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

connection = HTTPConnection(
    "127.0.0.1", int(os.environ.get("ACCODE_PROXY_METRICS__PORT", "9432")), timeout=4
)
try:
    connection.request("GET", "/healthz")
    status = connection.getresponse().status
except (OSError, HTTPException) as error:
    sys.exit(f"no answer from /healthz: {type(error).__name__}")
sys.exit(None if status == 200 else f"/healthz answers {status}")
