"""Hostile MySQL clients before anybody has proved anything."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.hostile.mysql.conftest import MysqlStage
from tests.hostile.mysql.raw import (
    COMPRESS,
    CONNECT_ATTRS,
    FULL,
    LOCAL_FILES,
    OPTIONAL_RESULTSET_METADATA,
    PROTOCOL_41,
    QUERY_ATTRIBUTES,
    SECURE_CONNECTION,
    SSL,
    USUAL,
    ZSTD,
    MysqlClient,
    front,
    lenenc,
    number_of,
    packet,
    query,
    response,
    scrambled,
    text,
)
from tests.hostile.raw import Refused
from tests.hostile.stage import CREDENTIAL_USED, LOGON, of_type, text_of, wrong_logins

HANDSHAKE_ERROR = 1043
ACCESS_DENIED = 1045
TIMED_OUT = 1159


def nothing_was_opened(stage: MysqlStage, marker: str) -> None:
    events = stage.events_since(marker)
    assert of_type(events, CREDENTIAL_USED) == []
    assert [event for event in of_type(events, LOGON) if event["status"] == "Success"] == []


def honest_response(stage: MysqlStage, client: MysqlClient) -> bytes:
    return response("alpha", scrambled(stage.tokens["alpha"], client.scramble), "orders")


# --- what is in the greeting, and what is not -------------------------------------------


def test_the_greeting_offers_nothing_that_hides_or_reshapes_statements(stage: MysqlStage):
    with stage.client() as client:
        client.greeted()
        refused = COMPRESS | ZSTD | LOCAL_FILES | QUERY_ATTRIBUTES | OPTIONAL_RESULTSET_METADATA
        assert client.capabilities & refused == 0
        assert client.capabilities & (SSL | PROTOCOL_41 | SECURE_CONNECTION) != 0


def test_every_greeting_has_a_scramble_of_its_own(stage: MysqlStage):
    found = set()
    for _ in range(20):
        with stage.client() as client:
            found.add(client.greeted().scramble)
    assert len(found) == 20
    assert all(len(one) == 20 and b"\0" not in one and b"$" not in one for one in found)


# --- where the bytes are cut --------------------------------------------------------------


def test_a_response_may_arrive_in_two_pieces_cut_anywhere(stage: MysqlStage):
    size = len(packet(1, response("alpha", bytes(32), "orders")))
    for cut in range(1, size):
        with stage.client() as client:
            client.greeted()
            data = packet(1, honest_response(stage, client))
            client.send(data[:cut])
            client.send(data[cut:])
            client.sequence += 1
            client.welcomed()


def test_a_response_may_arrive_byte_by_byte(stage: MysqlStage):
    with stage.client() as client:
        client.greeted()
        for one in packet(1, honest_response(stage, client)):
            client.send(bytes((one,)))
        client.sequence += 1
        client.welcomed()
        assert client.value("SELECT 3") == "3"


def test_a_client_that_ends_in_mid_response_leaves_nothing(stage: MysqlStage, marker: str):
    size = len(packet(1, response("alpha", bytes(32), "orders")))
    for cut in range(size):
        with stage.client() as client:
            client.greeted()
            client.send(packet(1, honest_response(stage, client))[:cut])
            client.socket.shutdown(socket.SHUT_WR)
            assert client.read_to_end() == b""
    nothing_was_opened(stage, marker)


def test_a_response_that_is_too_short_logs_nobody_in(stage: MysqlStage, marker: str):
    size = len(response("alpha", bytes(32), "orders"))
    # The last byte is the plug-in's terminator, which servers do without.
    for cut in range(size - 1):
        with stage.client() as client:
            client.greeted()
            client.put(honest_response(stage, client)[:cut])
            client.socket.shutdown(socket.SHUT_WR)
            answer = client.receive()
            # An error, or a question for a proof where the plug-in's name is cut.
            assert answer[0] in (0xFE, 0xFF), (cut, answer)
            assert client.read_to_end() == b""
    nothing_was_opened(stage, marker)


# --- responses that no server takes -------------------------------------------------------

FRONT = front(USUAL)
WITH_ATTRIBUTES = front(USUAL | CONNECT_ATTRS)
NAMES = text(bytes(32)) + b"orders\0caching_sha2_password\0"
BOMB = b"\xfe" + b"\xff" * 8

MALFORMED: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", HANDSHAKE_ERROR),
    "one byte": (b"\0", HANDSHAKE_ERROR),
    "an SSL request without the flag": (FRONT, HANDSHAKE_ERROR),
    "no user": (FRONT + b"\0" + NAMES, ACCESS_DENIED),
    "no workspace before the slash": (FRONT + b"/orders\0" + NAMES, ACCESS_DENIED),
    "a user without a terminator": (FRONT + b"alpha", HANDSHAKE_ERROR),
    "a proof of 2**64-1 bytes": (FRONT + b"alpha\0" + BOMB, HANDSHAKE_ERROR),
    "a proof of 16 MB": (FRONT + b"alpha\0\xfd\xff\xff\xffxx", HANDSHAKE_ERROR),
    "a proof that is NULL": (FRONT + b"alpha\0\xfb" + NAMES, HANDSHAKE_ERROR),
    "a proof that is an error": (FRONT + b"alpha\0\xff" + NAMES, HANDSHAKE_ERROR),
    "a database without a terminator": (
        FRONT + b"alpha\0" + text(bytes(32)) + b"orders",
        HANDSHAKE_ERROR,
    ),
    "attributes of 2**64-1 bytes": (
        WITH_ATTRIBUTES + b"alpha\0" + NAMES + BOMB,
        HANDSHAKE_ERROR,
    ),
    "an attribute longer than all of them": (
        WITH_ATTRIBUTES + b"alpha\0" + NAMES + text(b"\x20x"),
        HANDSHAKE_ERROR,
    ),
    "an attribute's name without a value": (
        WITH_ATTRIBUTES + b"alpha\0" + NAMES + text(text(b"_os")),
        HANDSHAKE_ERROR,
    ),
    "the protocol of MySQL 3.20": (
        b"\x05\x00\xff\xff\xffalpha\0proof\0" + bytes(40),
        HANDSHAKE_ERROR,
    ),
    "no SECURE_CONNECTION": (
        front(USUAL & ~SECURE_CONNECTION) + b"alpha\0" + NAMES,
        HANDSHAKE_ERROR,
    ),
    "a user that is not UTF-8": (FRONT + b"\xff\xfe\0" + NAMES, 1231),
    "a user with a line break": (FRONT + b"al\npha\0" + NAMES, 1231),
    "a user too long": (FRONT + b"a" * 500 + b"\0" + NAMES, 1231),
    "no source": (response("alpha", bytes(32), ""), 1049),
    "no source behind the slash": (response("alpha/", bytes(32), ""), 1049),
}


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_response_is_refused_and_opens_nothing(
    stage: MysqlStage, marker: str, name: str, is_encrypted: bool
):
    payload, number = MALFORMED[name]
    with stage.client() as client:
        client.greeted()
        if is_encrypted:
            client.start_tls()
        client.put(payload)
        assert number_of(client.refusal()) == number
    nothing_was_opened(stage, marker)


@pytest.mark.parametrize("sequence", [0, 2, 3, 255])
def test_a_response_out_of_order_is_refused(stage: MysqlStage, marker: str, sequence: int):
    with stage.client() as client:
        client.greeted()
        client.send(packet(sequence, honest_response(stage, client)))
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    nothing_was_opened(stage, marker)


@pytest.mark.parametrize("size", [128 * 1024 + 1, 1 << 20, FULL])
def test_a_packet_too_large_is_refused_by_its_header(stage: MysqlStage, marker: str, size: int):
    with stage.client() as client:
        client.greeted()
        # Nothing of it is awaited, so nothing of it can fill memory.
        client.send(size.to_bytes(3, "little") + b"\1")
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    nothing_was_opened(stage, marker)


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", bytes(64)],
    ids=["HTTP", "TLS at once", "zeros"],
)
def test_another_protocol_is_refused(stage: MysqlStage, marker: str, start: bytes):
    with stage.client() as client:
        client.greeted()
        client.send(start)
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    nothing_was_opened(stage, marker)


# --- TLS --------------------------------------------------------------------------------


def test_an_ssl_request_and_the_handshake_may_come_in_one_segment(stage: MysqlStage):
    with stage.client() as client:
        client.greeted()
        client.start_tls()
        client.put(honest_response(stage, client))
        client.welcomed()
        assert client.value("SELECT 'encrypted'") == "encrypted"


def test_an_ssl_request_may_arrive_byte_by_byte(stage: MysqlStage):
    with stage.client() as client:
        client.greeted()
        for one in packet(1, front(USUAL | SSL)):
            client.send(bytes((one,)))
        client.sequence += 1
        client.wrap()
        client.put(honest_response(stage, client))
        client.welcomed()


def test_a_second_ssl_request_is_refused(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        client.start_tls()
        client.put(front(USUAL | SSL))
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    nothing_was_opened(stage, marker)


def test_a_response_smuggled_behind_the_ssl_request_never_counts(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        smuggled = packet(2, honest_response(stage, client))
        client.send(packet(1, front(USUAL | SSL)) + smuggled)
        rest = client.read_to_end()
        # A TLS alert at most: no packet of MySQL's.
        assert rest == b"" or rest[0] == 0x15, rest
    nothing_was_opened(stage, marker)


def test_commands_smuggled_behind_the_response_wait_for_the_welcome(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        wrong = response("alpha", bytes(32), "orders")
        client.send(packet(1, wrong) + query("SELECT 'smuggled'"))
        client.sequence += 1
        assert client.receive() == b"\x01\x04"
        # Where a password was due stands a command, with the wrong number.
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    assert "smuggled" not in json.dumps(stage.events_since(marker))


def test_commands_behind_an_honest_response_run_after_the_welcome(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        client.send(packet(1, honest_response(stage, client)) + query("SELECT 'early'"))
        client.sequence += 1
        client.welcomed()
        assert client.answer()[2] == text(b"early")
    assert [text_of(event) for event in stage.events_since(marker) if text_of(event)] == [
        "SELECT 'early'"
    ]


# --- capabilities that were not offered ---------------------------------------------------

SMUGGLED = {
    "compression": COMPRESS,
    "zstd": ZSTD,
    "files of the client": LOCAL_FILES,
    "query attributes": QUERY_ATTRIBUTES,
    "results without metadata": OPTIONAL_RESULTSET_METADATA,
    "session variables before the login": 1 << 29,
    "all that is not known": 0xF0000000,
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_was_not_offered_is_not_taken_and_not_asked_of_the_server(
    stage: MysqlStage, marker: str, name: str
):
    flags = SMUGGLED[name]
    with stage.log_in("alpha", "orders", capabilities=USUAL | flags) as client:
        asked = int.from_bytes(stage.last.login[:4], "little")
        assert asked & flags == 0
        assert client.value("SELECT 'not reshaped'") == "not reshaped"
        # What a client with query attributes sends: no parameters, one set of them.
        reshaped = b"\x03\x00\x01SELECT 'hidden'"
        client.ask(packet(0, reshaped))
    assert stage.last.commands == [b"\x03SELECT 'not reshaped'", reshaped]
    texts = [text_of(event) for event in stage.events_since(marker) if text_of(event)]
    # The record shows what the server was sent: nothing is taken for a parameter.
    assert len(texts) == 2
    assert texts[1].endswith("SELECT 'hidden'")
    assert len(texts[1]) > len("SELECT 'hidden'")


def test_mariadbs_own_capabilities_are_not_asked_of_the_server(stage: MysqlStage):
    with stage.log_in("alpha", "orders", capabilities=USUAL & ~1, extended=0xFFFFFFFF) as client:
        assert stage.last.login[9:32] == bytes(23)
        assert client.value("SELECT 1") == "1"


def test_attributes_do_not_reach_the_server(stage: MysqlStage):
    block = text(text(b"program_name") + text(b"evil\r\nprogram"))
    with stage.log_in("alpha", "orders", capabilities=USUAL | CONNECT_ATTRS, tail=block) as client:
        assert b"evil" not in stage.last.login
        assert client.value("SELECT 1") == "1"


def test_a_compressed_packet_is_no_command(stage: MysqlStage, marker: str):
    with stage.log_in("alpha", "orders", capabilities=USUAL | COMPRESS) as client:
        # An uncompressed packet within a compressed one: length, number, length before.
        inner = query("SELECT 'compressed'")
        client.send(len(inner).to_bytes(3, "little") + b"\0\0\0\0" + inner)
        client.sequence = 1
        assert client.receive()[0] == 0xFF
    assert all(b"compressed" not in command for command in stage.last.commands)
    assert "SELECT 'compressed'" not in [text_of(event) for event in stage.events_since(marker)]


# --- proofs -----------------------------------------------------------------------------


def denied(client: MysqlClient) -> Refused:
    error = client.refusal()
    assert (number_of(error), error.code) == (ACCESS_DENIED, "28000")
    return error


def test_a_switch_answered_with_rubbish_is_denied(stage: MysqlStage, marker: str):
    for rubbish in (b"", b"\0", bytes(31), bytes(32), bytes(33), b"\xff" * 1024):
        with stage.client() as client:
            client.greeted()
            client.put(response("alpha", b"", "orders", plugin="dialog"))
            assert client.receive().startswith(b"\xfecaching_sha2_password\0")
            client.put(rubbish)
            assert client.receive() == b"\x01\x04"
            client.put(b"no password")
            denied(client)
    nothing_was_opened(stage, marker)


def test_a_proof_for_the_scramble_before_the_switch_does_not_count(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        stale = scrambled(stage.tokens["alpha"], client.scramble)
        client.put(response("alpha", stale, "orders", plugin="mysql_clear_password"))
        assert client.receive()[0] == 0xFE
        client.put(stale)
        assert client.receive() == b"\x01\x04"
        client.put(b"\0")
        denied(client)
    nothing_was_opened(stage, marker)


def test_a_token_in_the_clear_counts_only_inside_tls(stage: MysqlStage, marker: str):
    token = stage.tokens["alpha"].encode() + b"\0"
    with stage.client() as client:
        client.greeted()
        client.put(response("alpha", b"", "orders"))
        assert client.receive() == b"\x01\x04"
        client.put(token)
        denied(client)
    nothing_was_opened(stage, marker)
    with stage.client() as client:
        client.greeted()
        client.start_tls()
        client.put(response("alpha", b"", "orders"))
        assert client.receive() == b"\x01\x04"
        client.put(token)
        client.welcomed()


def test_the_public_key_is_given_once(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        client.put(response("alpha", b"", "orders"))
        assert client.receive() == b"\x01\x04"
        client.put(b"\x02")
        assert client.receive().startswith(b"\x01-----BEGIN PUBLIC KEY-----")
        client.put(b"\x02")
        denied(client)
    nothing_was_opened(stage, marker)


def test_floods_of_rsa_requests_are_answered_and_leave_nothing(stage: MysqlStage, marker: str):
    for _ in range(5):
        with ExitStack() as stack:
            flood = [stack.enter_context(stage.client()) for _ in range(20)]
            for client in flood:
                client.greeted()
                client.put(response("alpha", b"", "orders"))
                client.send(packet(3, b"\x02") + packet(5, b"\xff" * 256))
            for client in flood:
                assert client.receive() == b"\x01\x04"
                client.sequence += 1
                assert client.receive().startswith(b"\x01-----BEGIN")
                client.sequence += 1
                denied(client)
    nothing_was_opened(stage, marker)


def test_a_whole_password_is_bounded(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        client.start_tls()
        client.put(response("alpha", b"", "orders"))
        assert client.receive() == b"\x01\x04"
        client.send((1025).to_bytes(3, "little") + b"\x04")
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    nothing_was_opened(stage, marker)


def failure(stage: MysqlStage, workspace: str, token: str, source: str) -> tuple[int, str, str]:
    with stage.client() as client:
        client.greeted()
        client.start_tls()
        proof = scrambled(token, client.scramble)
        client.put(response(workspace, proof, source))
        answer = client.receive()
        if answer == b"\x01\x04":
            client.put(token.encode() + b"\0")
        else:
            assert answer == b"\x01\x03"
        error = client.refusal()
        told = error.text.replace(f'"{workspace}"', '"..."').replace('"(not a name)"', '"..."')
        return number_of(error), error.code, told


def test_every_failed_login_is_told_in_the_same_words(stage: MysqlStage, marker: str):
    answers = {failure(stage, *login) for login in wrong_logins(stage)}
    assert len(answers) == 1
    assert next(iter(answers))[:2] == (ACCESS_DENIED, "28000")
    events = stage.events_since(marker)
    assert [event["status"] for event in of_type(events, LOGON)] == ["Failure"] * 8
    assert of_type(events, CREDENTIAL_USED) == []


def test_a_foreign_source_is_told_as_one_that_does_not_exist(stage: MysqlStage, marker: str):
    token = stage.tokens["alpha"]
    answers = set()
    for name in ("ledger", "nowhere", "orders ", "ORDERS", "../orders", "alpha"):
        with stage.client() as client:
            with pytest.raises(Refused) as refused:
                client.log_in("alpha", token, name)
            answers.add((number_of(refused.value), refused.value.text))
    assert len(answers) == 1, answers
    assert next(iter(answers))[0] == 1049
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


# --- silence ------------------------------------------------------------------------------


def after_nothing(client: MysqlClient) -> None:
    """The greeting is all."""


def after_half_a_header(client: MysqlClient) -> None:
    client.send(b"\x50\0")


def after_half_a_response(client: MysqlClient) -> None:
    client.send(packet(1, response("alpha", bytes(32), "orders"))[:50])
    client.sequence += 1


def after_tls(client: MysqlClient) -> None:
    client.start_tls()


def after_a_switch(client: MysqlClient) -> None:
    client.put(response("alpha", b"", "orders", plugin="dialog"))
    client.receive()


def before_the_whole_password(client: MysqlClient) -> None:
    client.put(response("alpha", b"", "orders"))
    client.receive()


def behind_the_public_key(client: MysqlClient) -> None:
    before_the_whole_password(client)
    client.put(b"\x02")
    client.receive()


SILENCES: list[Callable[[MysqlClient], None]] = [
    after_nothing,
    after_half_a_header,
    after_half_a_response,
    after_tls,
    after_a_switch,
    before_the_whole_password,
    behind_the_public_key,
]


def test_silence_at_any_step_is_ended_with_a_word(stage: MysqlStage, marker: str):
    with ExitStack() as stack:
        clients = [stack.enter_context(stage.client()) for _ in SILENCES]
        for client, step in zip(clients, SILENCES, strict=True):
            step(client.greeted())
        for client in clients:
            error = client.refusal()
            assert (number_of(error), error.text) == (TIMED_OUT, "the login took too long")
    nothing_was_opened(stage, marker)


def test_silence_behind_an_ssl_request_ends_the_connection(stage: MysqlStage, marker: str):
    with stage.client() as client:
        client.greeted()
        client.put(front(USUAL | SSL))
        rest = client.read_to_end()
        assert rest == b"" or rest[4] == 0xFF, rest
    nothing_was_opened(stage, marker)


def test_a_long_list_of_attributes_is_read_or_refused(stage: MysqlStage):
    block = b"".join(text(b"a%d" % number) + text(b"v" * 20) for number in range(2000))
    flags = USUAL | CONNECT_ATTRS
    tail = lenenc(len(block)) + block
    with stage.log_in("alpha", "orders", capabilities=flags, tail=tail) as client:
        assert client.value("SELECT 1") == "1"
