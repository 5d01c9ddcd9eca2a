"""A recorder whose clients speak MySQL, by each of the plug-ins that prove a token."""

from __future__ import annotations

import json
from typing import Any

from tests.canary.capture import Recorder
from tests.hostile.mysql import raw
from tests.hostile.mysql.raw import MysqlClient
from tests.hostile.raw import Closed, Refused

SHA2, NATIVE, WHOLE, SWITCHED = "sha2", "native", "whole", "switched"
WAYS = (SHA2, NATIVE, WHOLE, SWITCHED)
"""How a client proves its token: by a scramble of either kind, by the token itself (inside
TLS, else under our RSA key), or after a switch from a plug-in that we do not speak.
"""


class MysqlRecorder(Recorder):
    """``proofs`` is what its clients have sent for their tokens."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.proofs: list[bytes] = []

    def log_in(
        self,
        workspace: str,
        token: str,
        source: str,
        *statements: str,
        tls: bool = False,
        way: str = SHA2,
    ) -> str:
        received = bytearray()

        class Listening(MysqlClient):
            def read(self, count: int) -> bytes:
                data = super().read(count)
                received.extend(data)
                return data

        error = ""
        with Listening(self.proxy.port) as client:
            try:
                client.greeted()
                if tls:
                    client.start_tls()
                self._prove(client, workspace, token, source, tls=tls, way=way)
                for statement in statements:
                    client.query(statement)
            except Refused as refused:
                error = refused.text
                received += client.read_to_end()
                self.keep("error's fields", json.dumps(refused.fields))
            except Closed:
                error = "closed"
        self.keep(f"bytes to the client of {source}", bytes(received))
        return error

    def _prove(
        self, client: MysqlClient, workspace: str, token: str, source: str, *, tls: bool, way: str
    ) -> None:
        plugin = {NATIVE: "mysql_native_password", SWITCHED: "mysql_clear_password"}.get(
            way, raw.SHA2
        )
        proof = raw.scrambled("not the token", client.scramble)
        if way == SHA2:
            proof = self._proof(raw.scrambled(token, client.scramble))
        elif way == NATIVE:
            proof = self._proof(raw.native(token, client.scramble))
        capabilities = raw.USUAL | (raw.SSL if tls else 0)
        client.put(raw.response(workspace, proof, source, plugin=plugin, capabilities=capabilities))
        while (payload := client.receive())[0] != 0:
            if payload[0] == 0xFF:
                raise raw.refused(payload)
            if payload[0] == 0xFE:
                scramble = payload[payload.index(b"\0") + 1 :][:20]
                client.put(self._proof(raw.scrambled(token, scramble)))
            elif payload == b"\x01\x04" and tls:
                client.put(token.encode() + b"\0")
            elif payload == b"\x01\x04":
                client.put(b"\x02")
                pem = client.receive()[1:]
                client.put(self._proof(raw.hidden(token, client.scramble, pem)))

    def _proof(self, proof: bytes) -> bytes:
        self.proofs.append(proof)
        return proof
