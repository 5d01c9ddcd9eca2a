"""A MySQL client over a bare socket, for saying what no driver would say.

Its packets and its proof are written down here once more, apart from the proxy's own, so
that neither can hide the other's mistake ("Client/Server Protocol" in the MySQL manual).
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.hostile.raw import RawConnection, Refused, unverified_context

CONNECT_WITH_DB = 1 << 3
COMPRESS = 1 << 5
LOCAL_FILES = 1 << 7
PROTOCOL_41 = 1 << 9
SSL = 1 << 11
TRANSACTIONS = 1 << 13
SECURE_CONNECTION = 1 << 15
MULTI_STATEMENTS = 1 << 16
MULTI_RESULTS = 1 << 17
PS_MULTI_RESULTS = 1 << 18
PLUGIN_AUTH = 1 << 19
CONNECT_ATTRS = 1 << 20
PLUGIN_AUTH_LENENC = 1 << 21
DEPRECATE_EOF = 1 << 24
OPTIONAL_RESULTSET_METADATA = 1 << 25
ZSTD = 1 << 26
QUERY_ATTRIBUTES = 1 << 27

USUAL = (
    1
    | CONNECT_WITH_DB
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | MULTI_STATEMENTS
    | MULTI_RESULTS
    | PS_MULTI_RESULTS
    | PLUGIN_AUTH
    | PLUGIN_AUTH_LENENC
    | DEPRECATE_EOF
)
SHA2 = "caching_sha2_password"
FULL = 0xFFFFFF
AUTOCOMMIT = 2


def packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload


def message(payload: bytes, sequence: int = 0) -> bytes:
    """A payload in as many packets as it takes."""
    parts = b""
    while True:
        part, payload = payload[:FULL], payload[FULL:]
        parts += packet(sequence, part)
        sequence += 1
        if len(part) < FULL:
            return parts


def lenenc(value: int) -> bytes:
    if value < 0xFB:
        return bytes((value,))
    if value < 1 << 16:
        return b"\xfc" + value.to_bytes(2, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def text(value: bytes) -> bytes:
    """A length-encoded string."""
    return lenenc(len(value)) + value


def take_lenenc(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer, and where it ends."""
    width = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(data[at], 0)
    if not width:
        return data[at], at + 1
    return int.from_bytes(data[at + 1 : at + 1 + width], "little"), at + 1 + width


def front(capabilities: int, extended: int = 0) -> bytes:
    """The 32 bytes that an SSLRequest is and a HandshakeResponse begins with."""
    numbers = struct.pack("<IIB", capabilities, 1 << 24, 45)
    return numbers + bytes(19) + struct.pack("<I", extended)


def response(
    user: str,
    proof: bytes,
    database: str,
    *,
    plugin: str = SHA2,
    capabilities: int = USUAL,
    extended: int = 0,
    tail: bytes = b"",
) -> bytes:
    """A HandshakeResponse41's payload."""
    return (
        front(capabilities, extended)
        + (user.encode() + b"\0" + text(proof) + database.encode() + b"\0")
        + (plugin.encode() + b"\0" + tail)
    )


def scrambled(password: str, scramble: bytes) -> bytes:
    """caching_sha2_password's proof."""
    first = hashlib.sha256(password.encode()).digest()
    mask = hashlib.sha256(hashlib.sha256(first).digest() + scramble).digest()
    return bytes(a ^ b for a, b in zip(first, mask, strict=True))


def native(password: str, scramble: bytes) -> bytes:
    """mysql_native_password's proof."""
    first = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(scramble + hashlib.sha1(first).digest()).digest()
    return bytes(a ^ b for a, b in zip(first, mask, strict=True))


def mixed(data: bytes, scramble: bytes) -> bytes:
    """Data mixed with the scramble, repeated: how a password is hidden, and found again."""
    mask = scramble * (len(data) // len(scramble) + 1)
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))


def hidden(password: str, scramble: bytes, pem: bytes) -> bytes:
    """The whole password for the owner of an RSA key, as caching_sha2_password has it."""
    key = load_pem_public_key(pem)
    assert isinstance(key, RSAPublicKey)
    return key.encrypt(mixed(password.encode() + b"\0", scramble), OAEP(MGF1(SHA1()), SHA1(), None))


def query(sql: str) -> bytes:
    return message(b"\x03" + sql.encode())


def prepare(sql: str) -> bytes:
    return message(b"\x16" + sql.encode())


def execute(number: int) -> bytes:
    return message(b"\x17" + struct.pack("<IBI", number, 0, 1))


def long_data(number: int, data: bytes) -> bytes:
    return message(b"\x18" + struct.pack("<IH", number, 0) + data)


def close_statement(number: int) -> bytes:
    return message(b"\x19" + struct.pack("<I", number))


PING = message(b"\x0e")
QUIT = message(b"\x01")


def refused(payload: bytes) -> Refused:
    """An ERR packet; ``fields``: N the error's number, C the SQLSTATE, M the text."""
    assert payload[:1] == b"\xff", payload
    number = str(int.from_bytes(payload[1:3], "little"))
    rest = payload[3:]
    code = ""
    if rest[:1] == b"#":
        code, rest = rest[1:6].decode(), rest[6:]
    return Refused({"N": number, "C": code, "M": rest.decode()})


def number_of(error: Refused) -> int:
    """The error's number."""
    return int(error.fields["N"])


class MysqlClient(RawConnection):
    """One connection. ``sequence`` is the number of the next packet of a login.

    ``may_be_lost``: in the place of an answer there may be an error of number 0, which was
    said before the command was read.
    """

    sequence = 0
    may_be_lost = False
    thread_id = 0
    scramble = b""
    capabilities = 0

    # --- packets --------------------------------------------------------------------

    def receive(self) -> bytes:
        """The next packet's payload; its number must be the one due."""
        header = self.read(4)
        is_last_word = self.may_be_lost and self.sequence == 1 and header[3] == 0
        assert is_last_word or header[3] == self.sequence & 0xFF, (header, self.sequence)
        self.sequence += 1
        payload = self.read(int.from_bytes(header[:3], "little"))
        assert not is_last_word or payload[0] == 0xFF, payload
        return payload

    def put(self, payload: bytes) -> None:
        """Send a packet of the login."""
        self.send(packet(self.sequence, payload))
        self.sequence += 1

    def refusal(self) -> Refused:
        """What the server says before it closes: one ERR and nothing behind it."""
        error = refused(self.receive())
        rest = self.read_to_end()
        assert rest == b"", f"{rest!r} behind the last error"
        return error

    # --- login ----------------------------------------------------------------------

    def greeted(self) -> MysqlClient:
        """Read the greeting."""
        return self.greeted_with(self.receive())

    def greeted_with(self, payload: bytes) -> MysqlClient:
        """Take what a greeting tells."""
        assert payload[0] == 10
        at = payload.index(b"\0") + 1
        self.thread_id = int.from_bytes(payload[at : at + 4], "little")
        low, high = payload[at + 13 : at + 15], payload[at + 18 : at + 20]
        self.capabilities = int.from_bytes(low + high, "little")
        self.scramble = payload[at + 4 : at + 12] + payload[at + 31 : at + 43]
        return self

    def start_tls(self, capabilities: int = USUAL) -> None:
        """SSLRequest and ClientHello, in one segment as some clients send them."""
        self.socket.send(packet(self.sequence, front(capabilities | SSL)), socket.MSG_MORE)
        self.sequence += 1
        self.wrap()

    def wrap(self, context: ssl.SSLContext | None = None) -> None:
        super().wrap(context or unverified_context())

    def welcomed(self) -> None:
        """Up to OK. Raises Refused."""
        while True:
            payload = self.receive()
            if payload[0] == 0xFF:
                raise refused(payload)
            if payload[0] == 0:
                return
            assert payload == b"\x01\x03", payload

    def log_in(
        self,
        workspace: str,
        token: str,
        source: str,
        *,
        capabilities: int = USUAL,
        extended: int = 0,
        tail: bytes = b"",
    ) -> MysqlClient:
        """Up to OK. Raises Refused, Closed."""
        self.greeted()
        proof = scrambled(token, self.scramble)
        self.put(
            response(
                workspace, proof, source, capabilities=capabilities, extended=extended, tail=tail
            )
        )
        self.welcomed()
        return self

    # --- commands -------------------------------------------------------------------

    def answer(self, sequence: int = 1) -> list[bytes]:
        """The payloads of one answer: OK, ERR, or a result set that ends as DEPRECATE_EOF says."""
        self.sequence = sequence
        payloads = [self.receive()]
        if payloads[0][0] in (0, 0xFE, 0xFF):
            return payloads
        payloads += [self.receive() for _ in range(payloads[0][0])]
        while True:
            payloads.append(self.receive())
            if payloads[-1][0] in (0xFE, 0xFF):
                return payloads

    def ask(self, command: bytes) -> list[bytes]:
        """A command's answer."""
        self.send(command)
        return self.answer()

    def query(self, sql: str) -> list[bytes]:
        return self.ask(query(sql))

    def value(self, sql: str) -> str:
        """The first column of the one row."""
        answer = self.query(sql)
        assert len(answer) == 4, answer
        size, at = take_lenenc(answer[2], 0)
        return answer[2][at : at + size].decode()

    def error(self, command: bytes) -> Refused:
        """The ERR that a command is answered with."""
        (payload,) = self.ask(command)
        return refused(payload)
