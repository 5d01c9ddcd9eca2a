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
from typing import Any
from urllib.parse import quote

from protocols.channel import Channel
from protocols.errors import Reason, Refusal
from protocols.interface import Derive, Entropy, Upstream, UpstreamLogin
from protocols.mysql.crypto import Crypto
from protocols.mysql.protocol import MySQL
from protocols.postgres.protocol import Postgres
from proxy import doors
from tests.servers import serve_proxy


def _twice(hashed: Callable[[bytes], Any], password: bytes) -> bytes:
    digest: bytes = hashed(hashed(password).digest()).digest()
    return digest


FORMS: dict[str, Callable[[bytes, str], str]] = {
    "raw": lambda password, user: password.decode(),
    "base64": lambda password, user: base64.b64encode(b"x" + password).decode(),
    "hex": lambda password, user: password.hex(),
    "url": lambda password, user: quote(password.decode(), safe=""),
    "json": lambda password, user: json.dumps(password.decode()),
    "md5": lambda password, user: "md5" + hashlib.md5(password + user.encode()).hexdigest(),
    # As mysql.user has it, for each of these plug-ins; and ed25519's seed.
    "native-hash": lambda password, user: f"*{_twice(hashlib.sha1, password).hex().upper()}",
    "sha2-hash": lambda password, user: base64.b64encode(_twice(hashlib.sha256, password)).decode(),
    "sha1": lambda password, user: hashlib.sha1(password).hexdigest(),
    "ed25519-seed": lambda password, user: hashlib.sha512(password).hexdigest(),
}


class Leak:
    """Gives the password away, in one form and at one place."""

    def __init__(self, place: str, form: str, folder: Path) -> None:
        self._place = place
        self._form = FORMS[form]
        self._folder = folder

    def of(self, login: UpstreamLogin) -> None:
        """What a login at a data source leaks."""
        if login.password is not None:
            self._leak(self._form(login.password, login.username), login.password)

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


class LeakingPostgres(Postgres):
    """PostgreSQL, told to give the password away while it logs in."""

    def __init__(self, leak: Leak) -> None:
        super().__init__()
        self._leak = leak

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        self._leak.of(login)
        return await super().connect(channel, login, derive, entropy)


class LeakingMysql(MySQL):
    """The same for MySQL."""

    def __init__(self, crypto: Crypto, leak: Leak) -> None:
        super().__init__(crypto)
        self._leak = leak

    async def connect(
        self, channel: Channel, login: UpstreamLogin, derive: Derive, entropy: Entropy
    ) -> Upstream:
        self._leak.of(login)
        return await super().connect(channel, login, derive, entropy)


def _fail(password: bytes) -> None:
    raise RuntimeError(f"callback with {password!r}")


def main() -> None:
    """Serve with the leak that was asked for."""
    folder = Path(sys.argv[1]).parent
    place, form = (folder / "leak").read_text().split()
    leak = Leak(place, form, folder)
    doors.PROTOCOLS["postgres"] = lambda config, crypto: LeakingPostgres(leak)
    doors.PROTOCOLS["mysql"] = lambda config, crypto: LeakingMysql(crypto, leak)
    serve_proxy.main()


if __name__ == "__main__":
    main()
