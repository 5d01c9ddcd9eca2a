"""One login to a hostile data source, and what must hold after every one of them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Generic

import pytest

from tests.hostile.fake_server import FakeServer, Script
from tests.hostile.raw import RawClient, Refused
from tests.hostile.stage import (
    CONNECT,
    CREDENTIAL_USED,
    PASSWORD,
    USERNAME,
    C,
    Theatre,
    of_type,
)
from tests.servers.proxy import Record


@dataclass(frozen=True)
class Attack:
    """How it ended: what the client was told, what the server got, recorded, logged."""

    refused: Refused
    received: bytes
    events: list[Record]
    log: str


class Performance(Generic[C]):
    """Sets scripts and logs in. ``forms`` are how the stored password must never be seen."""

    forms: tuple[bytes, ...]

    def __init__(self, stage: Theatre[C], fake: FakeServer) -> None:
        self.stage = stage
        self.fake = fake

    def refused(self, script: Script, source: str = "plain") -> Attack:
        """Log in; the client must get one FATAL error, with no word of the server's."""
        marker = self.stage.mark()
        self.fake.play(script)
        with pytest.raises(Refused) as refused:
            self.stage.log_in("alpha", source)
        received = self.fake.received()
        events = self.stage.events_since(marker)
        log = self.stage.log_since()
        attack = Attack(refused.value, received, events, log.decode())
        told = str(refused.value.fields).encode()
        self.check_secrecy(received, told, json.dumps(events).encode(), log)
        (failure,) = of_type(attack.events, CONNECT)
        assert failure["status"] == "Failure"
        assert len(of_type(attack.events, CREDENTIAL_USED)) == (source != "trust")
        assert "\n" not in refused.value.text
        return attack

    def session(self, script: Script, source: str = "plain") -> C:
        """A session with the hostile server, which has let us in."""
        self.fake.play(script)
        return self.stage.log_in("alpha", source)

    @classmethod
    def check_secrecy(cls, *places: bytes) -> None:
        """No form of the password is in these places."""
        for place in places:
            for form in cls.forms:
                assert form not in place

    @classmethod
    def check_files(cls, stage: Theatre[C]) -> None:
        """No form of the password is in the log or any file of the audit folder."""
        files = [stage.proxy.log, *stage.proxy.audit_folder.iterdir()]
        for file in files:
            data = file.read_bytes()
            for form in cls.forms:
                assert form not in data, f"a form of the password is in {file.name}"


_INNER_MD5 = hashlib.md5((PASSWORD + USERNAME).encode()).hexdigest().encode()


class Play(Performance[RawClient]):
    """Logins at hostile PostgreSQL servers."""

    forms = (
        PASSWORD.encode(),
        PASSWORD.encode().hex().encode(),
        base64.b64encode(PASSWORD.encode()),
        _INNER_MD5,
    )
