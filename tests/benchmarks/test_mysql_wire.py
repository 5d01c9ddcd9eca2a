from __future__ import annotations

import contextlib

import pytest

from benchmarks.mysql_wire import MysqlClient, challenge_of, counted_rows, is_last, prove
from benchmarks.processes import BenchmarkError
from benchmarks.sessions import Endpoint
from protocols.mysql import caching_sha2, native
from tests.servers.sql import SqlServer

SCRAMBLE = bytes(range(1, 21))
PASSWORD = "s3cret"


def greeting_of(scramble: bytes, plugin: bytes) -> bytes:
    return b"".join(
        (
            b"\x0a8.0.36\x00", b"\x01\x02\x03\x04", scramble[:8], b"\x00", b"\xff\xff\x2d",
            b"\x02\x00\xff\xff", b"\x15", bytes(10), scramble[8:], b"\x00", plugin, b"\x00",
        )
    )  # fmt: skip


def endpoint_of(server: SqlServer, *, tls: bool = False, account: str = "native") -> Endpoint:
    return Endpoint(server.port, account, server.account(account).password, server.database, tls)


def test_a_proof_convinces_a_server():
    stored = native._sha1(native._sha1(PASSWORD.encode()))
    assert native.matches(prove(b"mysql_native_password", PASSWORD, SCRAMBLE), SCRAMBLE, stored)
    proof = prove(b"caching_sha2_password", PASSWORD, SCRAMBLE)
    assert proof == caching_sha2.response(PASSWORD.encode(), SCRAMBLE)


def test_a_plugin_that_is_not_known_is_an_error():
    with pytest.raises(BenchmarkError, match="asks for client_ed25519"):
        prove(b"client_ed25519", PASSWORD, SCRAMBLE)


def test_the_challenge_is_in_two_parts_of_the_greeting():
    plugin = b"caching_sha2_password"
    assert challenge_of(greeting_of(SCRAMBLE, plugin)) == (plugin, SCRAMBLE)


def test_a_server_that_greets_with_an_error_says_why():
    with pytest.raises(BenchmarkError, match="Too many connections"):
        challenge_of(b"\xff\x10\x04Too many connections")


def test_the_end_of_a_result_is_known_by_its_last_nine_bytes():
    assert is_last(b"\x05\x00\x00\x07\xfe\x00\x00\x22\x00")
    assert not is_last(b"\x05\x00\x00\x07\xfe\x00\x00\x0a\x00")
    assert not is_last(b"\x00\x00\x07\xfe\x00\x00\x22\x00")
    assert not is_last(b"xxxxxxxxx")


def test_rows_are_counted_by_their_length_and_their_numbers():
    assert counted_rows(6 * 300, 6, 3, (3 + 300 + 1) % 256) == 300
    for size, number in ((6 * 300 + 1, 48), (6 * 300, 49)):
        with pytest.raises(BenchmarkError, match="not whole rows of 6"):
            counted_rows(size, 6, 3, number)


@pytest.mark.parametrize("tls", [False, True])
def test_rows_of_a_real_server_are_counted(mariadb: SqlServer, tls: bool):
    with contextlib.closing(MysqlClient(endpoint_of(mariadb, tls=tls))) as client:
        client.query("SELECT 100000 + seq, REPEAT('x', 84) FROM seq_1_to_20000")
        assert client.drain() == (20_000 * (4 + 7 + 85) - 4 + 9, 20_000)
        assert client.tls_description().startswith("TLSv1") is tls


def test_a_result_may_be_read_in_two_parts(mariadb: SqlServer):
    with contextlib.closing(MysqlClient(endpoint_of(mariadb))) as client:
        client.query("SELECT REPEAT('x', 1000) FROM seq_1_to_5000")
        first = client.read_some(memoryview(bytearray(100)))
        rest = client.drain()
        assert rest.rows == 5000
        assert first + rest.size + 4 == 5000 * 1007 + 9
        client.query("SELECT 1")
        assert client.drain().rows == 1


def test_one_number_is_read_and_the_session_goes_on(mariadb: SqlServer):
    with contextlib.closing(MysqlClient(endpoint_of(mariadb))) as client:
        assert [client.number(f"SELECT {number}") for number in (7, 123456)] == [7, 123456]


def test_a_refused_login_and_a_refused_statement_say_why(mariadb: SqlServer):
    wrong = Endpoint(mariadb.port, "native", "wrong", mariadb.database)
    with pytest.raises(BenchmarkError, match="Access denied"):
        MysqlClient(wrong)
    with (
        contextlib.closing(MysqlClient(endpoint_of(mariadb))) as client,
        pytest.raises(BenchmarkError, match="doesn't exist"),
    ):
        client.query("SELECT * FROM absent")
