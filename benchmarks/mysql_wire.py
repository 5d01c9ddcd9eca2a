"""A MySQL client that does as little as possible, so that it is never the bottleneck.

Knows just enough of the protocol ("Client/Server Protocol" in MySQL's manual) to log in with
mysql_native_password or caching_sha2_password, run one statement as text and throw its rows away
in big reads.
"""

from __future__ import annotations

import hashlib
import ssl
import struct
import time

from benchmarks.processes import BenchmarkError
from benchmarks.sessions import READ_BYTES, Drained, Endpoint, SocketSession

_CONNECT_WITH_DB, _PROTOCOL_41, _SSL = 0x8, 0x200, 0x800
_TRANSACTIONS, _SECURE_CONNECTION, _PLUGIN_AUTH = 0x2000, 0x8000, 0x80000
# Without DEPRECATE_EOF a result ends with 9 bytes that no row of ours can hold.
_CAPABILITIES = (
    0x1 | _CONNECT_WITH_DB | _PROTOCOL_41 | _TRANSACTIONS | _SECURE_CONNECTION | _PLUGIN_AUTH
)
_UTF8MB4 = 45
_NATIVE, _SHA2 = b"mysql_native_password", b"caching_sha2_password"
_OK, _EOF, _ERR = 0x00, 0xFE, 0xFF
# The proof was enough: the server had the password's hash in its cache.
_FAST_AUTH_SUCCESS = b"\x01\x03"
# It had not; within TLS the password itself is the answer.
_FULL_AUTHENTICATION = b"\x01\x04"
_EOF_LENGTH = 9
_MORE_RESULTS = 0x8
_QUERY = b"\x03"
_HEADER = 4
# A proxy asks for the password itself, its server for another proof, and then there is an OK.
_MOST_ANSWERS = 6
# Greeting, login and column definitions are all far below.
_MAX_PACKET = 1 << 16


def prove(plugin: bytes, password: str, scramble: bytes) -> bytes:
    """What proves a password to a plugin. Raises BenchmarkError for one that is not known here.

    Manual: "Native Authentication", "Caching_sha2_password information".
    """
    if plugin == _NATIVE:
        stage1 = _sha1(password.encode())
        mask = _sha1(scramble + _sha1(stage1))
    elif plugin == _SHA2:
        stage1 = _sha256(password.encode())
        mask = _sha256(_sha256(_sha256(password.encode())) + scramble)
    else:
        raise BenchmarkError(f"The server asks for {plugin.decode(errors='replace')}.")
    return bytes(a ^ b for a, b in zip(stage1, mask, strict=True))


def counted_rows(size: int, row_size: int, first: int, last: int) -> int:
    """The rows of ``size`` bytes, each as long as the first one.

    ``first``: the packet number before the rows, ``last``: the one behind them; both count
    modulo 256. Raises BenchmarkError when these do not fit each other.
    """
    rows, rest = divmod(size, row_size) if row_size else (0, size)
    if rest or (first + rows + 1) % 256 != last:
        raise BenchmarkError(f"A result of {size} bytes is not whole rows of {row_size}.")
    return rows


class MysqlClient(SocketSession):
    """One logged-in session. See ``sessions.Session``.

    Rows are not looked at: all rows of a result must be of one length.
    """

    _before_rows = 0
    _row_size = 0
    _seen = 0

    def _begin(self, endpoint: Endpoint) -> None:
        number, greeting = self._read_packet()
        plugin, scramble = challenge_of(greeting)
        capabilities = _CAPABILITIES | (_SSL if endpoint.tls else 0)
        start = struct.pack("<IIB23x", capabilities, 1 << 24, _UTF8MB4)
        if endpoint.tls:
            number += 1
            self._send(number, start)
            self._encrypt()
        proof = prove(plugin, endpoint.password, scramble)
        self._send(
            number + 1,
            start
            + endpoint.user.encode() + b"\0"
            + bytes([len(proof)]) + proof
            + endpoint.database.encode() + b"\0"
            + plugin + b"\0",
        )  # fmt: skip
        self._be_welcomed(endpoint.password)

    def _be_welcomed(self, password: str) -> None:
        for _ in range(_MOST_ANSWERS):
            number, answer = self._read_packet()
            if answer[0] == _EOF:
                plugin, _, scramble = answer[1:].partition(b"\0")
                self._send(number + 1, prove(plugin, password, scramble.removesuffix(b"\0")))
            elif answer == _FULL_AUTHENTICATION and isinstance(self._socket, ssl.SSLSocket):
                self._send(number + 1, password.encode() + b"\0")
            elif answer[0] == _OK:
                return
            elif answer != _FAST_AUTH_SUCCESS:
                raise BenchmarkError(f"Login failed: {_error_text(answer)}")
        raise BenchmarkError("A login came to no end.")

    def query(self, sql: str) -> None:
        """Send a COM_QUERY that answers with rows, and read up to its first row."""
        self._send(0, _QUERY + sql.encode())
        _, answer = self._read_packet()
        if answer[0] in (_OK, _ERR):
            raise BenchmarkError(f"A statement returned no rows: {_error_text(answer)}")
        columns = answer[0]
        for _ in range(columns + 1):
            self._before_rows, _ = self._read_packet()
        self._row_size = int.from_bytes(self._read_exactly(_HEADER)[:3], "little") + _HEADER
        self._seen = _HEADER

    def read_some(self, buffer: memoryview) -> int:
        """Read rows into the buffer. Raises BenchmarkError when the peer has closed."""
        count = super().read_some(buffer)
        self._seen += count
        return count

    def drain(self, seconds: float = 120.0) -> Drained:
        """Throw rows away up to the EOF packet. Only the end is looked at."""
        buffer = memoryview(bytearray(READ_BYTES))
        deadline = time.monotonic() + seconds
        total = 0
        tail = b""
        while True:
            count = self.read_some(buffer)
            total += count
            tail = (tail + bytes(buffer[max(0, count - _EOF_LENGTH) : count]))[-_EOF_LENGTH:]
            if is_last(tail):
                size = self._seen - _EOF_LENGTH
                rows = counted_rows(size, self._row_size, self._before_rows, tail[3])
                return Drained(total, rows)
            if time.monotonic() > deadline:
                raise BenchmarkError(f"A result did not end within {seconds:.0f} s.")

    def number(self, sql: str) -> int:
        """The one number that a statement answers with."""
        self.query(sql)
        row = self._read_exactly(self._row_size - _HEADER)
        self._read_exactly(_EOF_LENGTH)
        return int(row[1:])

    def _send(self, number: int, payload: bytes) -> None:
        self._socket.sendall(len(payload).to_bytes(3, "little") + bytes([number]) + payload)

    def _read_packet(self) -> tuple[int, bytes]:
        header = self._read_exactly(_HEADER)
        length = int.from_bytes(header[:3], "little")
        if not 1 <= length <= _MAX_PACKET:
            raise BenchmarkError(f"A packet of {length} bytes is not expected here.")
        return header[3], self._read_exactly(length)


def challenge_of(greeting: bytes) -> tuple[bytes, bytes]:
    """The plugin, and the 20 bytes to prove a password with. Raises BenchmarkError."""
    if greeting[0] != 10:
        raise BenchmarkError(f"No greeting: {_error_text(greeting)}")
    # Behind the version: connection id 4, scramble 8, filler 1, capabilities and status 8,
    # length 1, filler 10, scramble 12 and its NUL, plugin.
    rest = greeting[greeting.index(b"\0") + 1 :]
    return rest[44:].partition(b"\0")[0], rest[4:12] + rest[31:43]


def is_last(tail: bytes) -> bool:
    """Whether these 9 bytes are an EOF packet with no other result behind it."""
    return (
        len(tail) == _EOF_LENGTH
        and tail[:3] == b"\x05\x00\x00"
        and tail[4] == _EOF
        and not tail[7] & _MORE_RESULTS
    )


def _error_text(packet: bytes) -> str:
    if packet[0] != _ERR:
        return f"an answer that begins with {packet[0]:#04x}"
    return packet[3:].decode(errors="replace")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()
