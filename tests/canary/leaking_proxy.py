"""``python -m tests.canary.leaking_proxy CONFIG READY``: a proxy with a planted leak.

The file ``leak`` beside the configuration says which: where the password of a data
source goes, and in what form. The canary suite must turn red over each.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from protocols.channel import Channel
from protocols.errors import Reason, Refusal
from protocols.interface import Derive, Entropy, Upstream, UpstreamLogin
from protocols.postgres.protocol import Postgres
from proxy import app
from tests.servers import serve_proxy

FORMS: dict[str, Callable[[bytes, str], str]] = {
    "raw": lambda password, user: password.decode(),
    "base64": lambda password, user: base64.b64encode(b"x" + password).decode(),
    "hex": lambda password, user: password.hex(),
    "url": lambda password, user: quote(password.decode(), safe=""),
    "json": lambda password, user: json.dumps(password.decode()),
    "md5": lambda password, user: "md5" + hashlib.md5(password + user.encode()).hexdigest(),
}


class Leaking(Postgres):
    """PostgreSQL, told to give the password away while it logs in."""

    def __init__(self, place: str, form: str, folder: Path) -> None:
        super().__init__()
        self._place = place
        self._form = FORMS[form]
        self._folder = folder

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        if login.password is not None:
            self._leak(self._form(login.password, login.username), login.password)
        return await super().connect(channel, login, derive, entropy)

    def _leak(self, text: str, password: bytes) -> None:
        if self._place == "log":
            logging.getLogger("leak").warning("logging in with %s", text)
        elif self._place == "stderr":
            sys.stderr.write(f"debug: {text}\n")
            sys.stderr.flush()
        elif self._place == "file":
            (self._folder / "debug.txt").write_text(text)
        elif self._place == "client":
            raise Refusal(Reason.SOURCE_REFUSED, f"the data source refused {text}", "no")
        elif self._place == "audit":
            raise Refusal(Reason.SOURCE_REFUSED, "the data source refused", f"tried {text}")
        elif self._place == "crash":
            # What a bug may do: the message of each of these quotes the secret.
            asyncio.get_running_loop().call_soon(_fail, password)
            try:
                raise KeyError(password)
            except KeyError as error:
                raise ValueError(f"invalid password: {text}") from error


def _fail(password: bytes) -> None:
    raise RuntimeError(f"callback with {password!r}")


def main() -> None:
    """Serve with the leak that was asked for."""
    folder = Path(sys.argv[1]).parent
    place, form = (folder / "leak").read_text().split()
    app.PROTOCOLS["postgres"] = lambda config, crypto: Leaking(place, form, folder)
    serve_proxy.main()


if __name__ == "__main__":
    main()
