"""MySQL servers that say whatever their script tells them to, and forget nothing.

A script is a function over one ``MysqlPeer``. ``serve`` is an honest server that keeps
every command it was sent.
"""

from __future__ import annotations

import socket
import struct

from tests.hostile.fake_server import Caller
from tests.hostile.mysql.raw import AUTOCOMMIT, FULL, SHA2, SSL, message, packet, scrambled, text
from tests.hostile.stage import PASSWORD

SCRAMBLE = b"scramble-of-a-fake!!"
VERSION = "8.0.36"
THREAD_ID = 4711
COMPRESS, LOCAL_FILES, DEPRECATE_EOF = 1 << 5, 1 << 7, 1 << 24
ALL = 0x0FFF_FFFF & ~COMPRESS
"""What a server of MySQL 8.0 has, without compression."""


def greeting(
    *,
    version: str = VERSION,
    capabilities: int = ALL,
    plugin: str = SHA2,
    protocol: int = 10,
    scramble: bytes = SCRAMBLE,
) -> bytes:
    """Protocol::HandshakeV10."""
    return (
        bytes((protocol,))
        + (version.encode() + b"\0" + struct.pack("<I", THREAD_ID) + scramble[:8] + b"\0")
        + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, AUTOCOMMIT, capabilities >> 16, 21)
        + (bytes(10) + scramble[8:] + b"\0" + plugin.encode() + b"\0")
    )


def ok(affected: int = 0, status: int = AUTOCOMMIT, header: int = 0) -> bytes:
    return bytes((header, affected, 0)) + struct.pack("<HH", status, 0)


def eof(status: int = AUTOCOMMIT) -> bytes:
    return b"\xfe" + struct.pack("<HH", 0, status)


def err(number: int, words: str, sqlstate: str = "HY000") -> bytes:
    state = b"#" + sqlstate.encode() if sqlstate else b""
    return b"\xff" + struct.pack("<H", number) + state + words.encode()


def switch(plugin: str, data: bytes = SCRAMBLE, *, end: bytes = b"\0") -> bytes:
    """AuthSwitchRequest; MariaDB's own plug-ins end their data with nothing."""
    return b"\xfe" + plugin.encode() + b"\0" + data + end


DEFINITION = b"\3def" + b"\0" * 3 + text(b"c") + b"\0\x0c" + struct.pack("<HIBHB", 45, 9, 253, 0, 0)
DEFINITION += b"\0\0"
FAST = b"\x01\x03"
FULL_AUTHENTICATION = b"\x01\x04"


def rows(*values: bytes) -> list[bytes]:
    """The payloads of a result set of one column, as DEPRECATE_EOF has it."""
    return [b"\1", DEFINITION, *map(text, values), ok(header=0xFE)]


def numbered(*payloads: bytes, sequence: int = 1) -> bytes:
    """Payloads as the packets of one answer."""
    return b"".join(packet(sequence + i, payload) for i, payload in enumerate(payloads))


class MysqlPeer(Caller):
    """The proxy, logging in to a MySQL server. ``commands`` are those of its session."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.sequence = 0
        self.login = b""
        self.commands: list[bytes] = []

    def put(self, payload: bytes) -> None:
        """Send a packet of the login."""
        self.send(packet(self.sequence, payload))
        self.sequence += 1

    def receive(self) -> bytes:
        """The payload of a message, however many packets it has."""
        payload = b""
        while True:
            header = self.read(4)
            self.sequence = header[3] + 1
            part = self.read(int.from_bytes(header[:3], "little"))
            payload += part
            if len(part) < FULL:
                return payload

    # --- a login, in parts ------------------------------------------------------------

    def greet(self, payload: bytes = b"") -> bytes:
        """Send a greeting; returns the HandshakeResponse."""
        self.put(payload or greeting())
        self.login = self.receive()
        return self.login

    def ssl_request(self, payload: bytes = b"") -> None:
        """Send a greeting; read the SSLRequest that must follow."""
        self.put(payload or greeting())
        request = self.receive()
        assert len(request) == 32, request
        assert int.from_bytes(request[:4], "little") & SSL

    def welcome(self) -> None:
        """An honest login, up to our OK."""
        self.greet()
        assert scrambled(PASSWORD, SCRAMBLE) in self.login
        self.put(FAST)
        self.put(ok())

    # --- a session --------------------------------------------------------------------

    def command(self) -> bytes:
        """The next command; it is kept."""
        payload = self.receive()
        self.commands.append(payload)
        return payload


def serve(peer: MysqlPeer) -> None:
    """An honest server: SELECT of a literal has one row, all else succeeds."""
    # A session may be silent for as long as its client.
    peer.socket.settimeout(None)
    peer.welcome()
    prepared = 0
    while True:
        command = peer.command()
        code, rest = command[0], command[1:]
        if code == 0x01:
            return
        if code in (0x18, 0x19):
            continue
        # Behind a command of several packets the numbers go on.
        sequence = peer.sequence
        if code == 0x03 and rest.startswith(b"SELECT "):
            peer.send(numbered(*rows(rest[7:].strip(b"'")[:200]), sequence=sequence))
        elif code == 0x16:
            prepared += 1
            peer.send(numbered(b"\0" + struct.pack("<IHHBH", prepared, 0, 0, 0, 0)))
        else:
            peer.send(message(ok(), sequence))
