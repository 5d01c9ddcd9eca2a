#!/opt/accode-proxy/bin/python
"""The image's HEALTHCHECK: 0 where /healthz answers 200. Needs no curl, heeds no HTTP proxy.

``healthcheck admin``: 0 where the admin endpoints speak TLS. A call is not made: each is recorded.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPException


def healthz() -> str | None:
    """What is wrong with the proxy, or None."""
    port = int(os.environ.get("ACCODE_PROXY_METRICS__PORT", "9432"))
    connection = HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"no answer from /healthz: {type(error).__name__}"
    return None if status == 200 else f"/healthz answers {status}"


def admin() -> str | None:
    """What is wrong with the admin endpoints, or None."""
    port = int(os.environ.get("ACCODE_PROXY_ADMIN__PORT", "8432"))
    # That it answers is asked, not who it is: nothing is said to it.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=4) as connection,
            context.wrap_socket(connection),
        ):
            return None
    except OSError as error:
        return f"no answer from the admin endpoints: {type(error).__name__}"


sys.exit(admin() if sys.argv[1:] == ["admin"] else healthz())
