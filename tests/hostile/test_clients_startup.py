"""Hostile clients before anybody has proved anything."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.hostile.raw import (
    GSSENC,
    SSL,
    RawClient,
    Refused,
    message,
    request,
    startup_packet,
    unverified_context,
)
from tests.hostile.stage import CREDENTIAL_USED, LOGON, Stage, of_type

WHO = (("user", "alpha"), ("database", "orders"))


def word(value: int) -> bytes:
    return struct.pack("!i", value)


def packet(body: bytes, version: int = 196608) -> bytes:
    return word(len(body) + 8) + word(version) + body


# Start-up packets that no server takes: what the client is told, by its SQLSTATE.
MALFORMED = {
    "length 0": (word(0) + bytes(4), "08P01"),
    "length 3": (word(3) + bytes(4), "08P01"),
    "length 4": (word(4), "08P01"),
    "length 7": (word(7) + bytes(3), "08P01"),
    "a negative length": (word(-1) + bytes(8), "08P01"),
    "the most negative length": (word(-(2**31)) + bytes(8), "08P01"),
    "a huge length": (word(0x7FFFFFFF) + word(196608), "08P01"),
    "one byte more than PostgreSQL takes": (word(10_005) + word(196608), "08P01"),
    "no parameters and no terminator": (packet(b""), "08P01"),
    "no terminator": (packet(b"user\0alpha\0database\0orders\0"), "08P01"),
    "no terminator of a value": (packet(b"user\0alpha"), "08P01"),
    "a name without a value": (packet(b"user\0alpha\0database\0\0"), "08P01"),
    "bytes behind the terminator": (packet(b"user\0alpha\0database\0orders\0\0tail"), "08P01"),
    "no user": (packet(b"database\0orders\0\0"), "28000"),
    "an empty user": (packet(b"user\0\0database\0orders\0\0"), "28000"),
    "two users": (packet(b"user\0alpha\0user\0beta\0database\0orders\0\0"), "08P01"),
    "the same user twice": (packet(b"user\0alpha\0user\0alpha\0\0"), "08P01"),
    "two databases": (packet(b"user\0alpha\0database\0orders\0database\0ledger\0\0"), "08P01"),
    "options twice": (packet(b"user\0alpha\0options\0-c jit=off\0options\0\0\0"), "08P01"),
    "a user that is not UTF-8": (packet(b"user\0\xff\xfe\0\0"), "22023"),
    "a user with a line break": (packet(b"user\0al\npha\0\0"), "22023"),
    "a user too long": (packet(b"user\0" + b"a" * 500 + b"\0\0"), "22023"),
    "protocol 2.0": (packet(b"user\0alpha\0\0", 131072), "0A000"),
    "protocol 4.0": (packet(b"user\0alpha\0\0", 262144), "0A000"),
    "protocol 0.0": (packet(b"user\0alpha\0\0", 0), "0A000"),
    "an unknown request code": (packet(b"", 80877199), "0A000"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_start_is_refused_and_opens_nothing(stage: Stage, marker: str, name: str):
    data, code = MALFORMED[name]
    with stage.client() as client:
        client.send(data)
        assert client.refusal().code == code
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


# Parameters that reach into the data source: none passes that is not on the list.
FORBIDDEN = {
    "replication": (("replication", "true"), "42501"),
    "replication of a database": (("replication", "database"), "42501"),
    "a role": (("role", "postgres"), "22023"),
    "another session user": (("session_authorization", "postgres"), "22023"),
    "a library": (("local_preload_libraries", "evil"), "22023"),
    "an unknown parameter": (("no_such_setting", "1"), "22023"),
    "a role within options": (("options", "-c role=postgres"), "22023"),
    "a role within options, dashed": (("options", "--session-replication-role=replica"), "22023"),
    "a role behind an allowed one": (("options", "-c jit=off -c role=postgres"), "22023"),
    "a role behind an escaped space": (("options", "-c search_path=a\\ b -crole=x"), "22023"),
    "a switch that is none of -c": (("options", "-d 5"), "22023"),
    "a switch of the server's sockets": (("options", "-i"), "22023"),
    "strings that end elsewhere": (("standard_conforming_strings", "off"), "22023"),
    "the same within options": (("options", "-c standard_conforming_strings=off"), "22023"),
    "an upper-case name": (("ROLE", "postgres"), "22023"),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_parameter_is_refused_before_anything_is_asked(
    stage: Stage, marker: str, name: str
):
    extra, code = FORBIDDEN[name]
    with stage.client() as client, pytest.raises(Refused) as refused:
        client.log_in("alpha", stage.tokens["alpha"], "orders", extra)
    assert refused.value.code == code
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


@pytest.mark.parametrize(
    ("extra", "shown", "value"),
    [
        (("search_path", "pg_temp, public"), "search_path", "pg_temp, public"),
        (("options", "-c search_path=one,\\ two"), "search_path", "one, two"),
        (("options", "-c statement_timeout=4321"), "statement_timeout", "4321ms"),
    ],
)
def test_a_permitted_parameter_reaches_the_data_source_as_a_value_only(
    stage: Stage, extra: tuple[str, str], shown: str, value: str
):
    with stage.log_in("alpha", "orders", extra) as client:
        assert client.value(f"SHOW {shown}") == value


def test_a_search_path_cannot_break_out_of_its_value(stage: Stage):
    evil = "public; DROP TABLE accounts; --"
    with stage.client() as client, pytest.raises(Refused) as refused:
        client.log_in("alpha", stage.tokens["alpha"], "orders", ("search_path", evil))
    assert refused.value.code == "22023"


# --- TLS ------------------------------------------------------------------------------


def test_plaintext_behind_the_request_for_tls_is_fatal(stage: Stage, marker: str):
    # CVE-2021-23214: a man in the middle puts his own start-up packet in front.
    with stage.client() as client:
        client.send(request(SSL) + startup_packet(*WHO))
        assert client.refusal().code == "08P01"
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


def test_plaintext_behind_the_answer_to_the_request_is_no_handshake(stage: Stage):
    with stage.client() as client:
        client.send(request(SSL))
        assert client.read(1) == b"S"
        client.send(startup_packet(*WHO))
        # TLS's own alert at most; nothing that a login would say.
        assert client.read_to_end()[:1] in (b"", b"\x15")


def test_plaintext_behind_a_request_for_gssapi_is_fatal(stage: Stage):
    with stage.client() as client:
        client.send(request(GSSENC) + startup_packet(*WHO))
        assert client.refusal().code == "08P01"


def test_a_second_request_for_tls_is_refused(stage: Stage):
    with stage.client() as client:
        client.start_tls()
        client.send(request(SSL))
        assert client.refusal().code == "08P01"


def test_a_request_for_gssapi_within_tls_is_refused(stage: Stage):
    with stage.client() as client:
        client.start_tls()
        client.send(request(GSSENC))
        assert client.refusal().code == "08P01"


def test_a_request_for_gssapi_twice_is_refused(stage: Stage):
    with stage.client() as client:
        client.send(request(GSSENC))
        assert client.read(1) == b"N"
        client.send(request(GSSENC))
        assert client.refusal().code == "08P01"


def test_tls_is_still_offered_after_gssapi_was_declined(stage: Stage):
    with stage.client() as client:
        client.send(request(GSSENC))
        assert client.read(1) == b"N"
        client.start_tls()
        client.log_in("alpha", stage.tokens["alpha"], "orders")
        assert client.value("SELECT 7") == "7"


@pytest.mark.parametrize("alpn", [None, ["http/1.1"], ["postgresql-2", "h2"]])
def test_direct_tls_for_another_protocol_gets_the_fatal_alert(stage: Stage, alpn: list[str] | None):
    with stage.client() as client, pytest.raises(ssl.SSLError, match="no application protocol"):
        client.wrap(unverified_context(alpn))


def test_nothing_but_the_alert_is_said_to_direct_tls_for_another_protocol(stage: Stage):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = unverified_context(["h2"]).wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    with stage.client() as client:
        client.send(outgoing.read())
        assert client.read_to_end() == b"\x15\x03\x03\x00\x02\x02\x78"


def test_direct_tls_with_the_right_name_logs_in(stage: Stage):
    with stage.client() as client:
        client.wrap(unverified_context(["postgresql"]))
        client.log_in("alpha", stage.tokens["alpha"], "orders")
        assert client.value("SELECT 8") == "8"


@pytest.mark.parametrize(
    "hello",
    [
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff" + bytes(100),
        b"\x16\x02\x01\x00\x10" + bytes(16),
        b"\x16\x03\x01\x00\x10" + bytes(16),
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x20",
    ],
)
def test_a_broken_client_hello_ends_the_connection(stage: Stage, hello: bytes):
    with stage.client() as client:
        client.send(hello)
        assert client.refusal().code == "08P01"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(stage: Stage, version: ssl.TLSVersion):
    context = unverified_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = version
    context.maximum_version = version
    with stage.client() as client, pytest.raises((ssl.SSLError, ConnectionResetError)):
        client.start_tls(context)


# --- silence --------------------------------------------------------------------------


def _partial_hello(client: RawClient) -> None:
    client.send(b"\x16\x03\x01\x02\x00" + bytes(40))


def _tls_then_silence(client: RawClient) -> None:
    client.send(request(SSL))
    assert client.read(1) == b"S"


def _started(client: RawClient) -> None:
    client.send(startup_packet(*WHO))
    client.until(b"R")


def _half_a_proof(client: RawClient) -> None:
    _started(client)
    client.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", 100))[:-10])


SILENCES: dict[str, Callable[[RawClient], None]] = {
    "nothing": lambda client: None,
    "one byte": lambda client: client.send(b"\0"),
    "a length and nothing": lambda client: client.send(word(500)),
    "half a ClientHello": _partial_hello,
    "a request for TLS and no handshake": _tls_then_silence,
    "TLS and nothing within": RawClient.start_tls,
    "a start-up packet and no proof": _started,
    "half a SASL message": _half_a_proof,
}


def test_silence_at_every_phase_ends_at_the_deadline(stage: Stage, marker: str):
    with ExitStack() as stack:
        clients = {name: stack.enter_context(stage.client()) for name in SILENCES}
        for name, client in clients.items():
            SILENCES[name](client)
        said = {name: client.read_to_end() for name, client in clients.items()}
    # Where a handshake hangs there is nobody to tell.
    assert said.pop("a request for TLS and no handshake") == b""
    assert {name: b"C57014\0" in text for name, text in said.items()} == dict.fromkeys(said, True)
    events = stage.events_since(marker)
    assert of_type(events, CREDENTIAL_USED) == []
    assert len([e for e in of_type(events, LOGON) if e["status"] == "Failure"]) == 2


def test_a_sender_of_one_byte_at_a_time_is_served(stage: Stage):
    class Slow(RawClient):
        def send(self, data: bytes) -> None:
            for index in range(len(data)):
                self.socket.sendall(data[index : index + 1])

    with Slow(stage.proxy.port) as client:
        client.send(request(GSSENC))
        assert client.read(1) == b"N"
        client.start_tls()
        client.log_in("alpha", stage.tokens["alpha"], "orders")
        assert client.value("SELECT 9") == "9"


@pytest.mark.parametrize("phase", SILENCES)
def test_a_client_that_resets_in_its_login_leaves_nothing_behind(stage: Stage, phase: str):
    client = stage.client()
    SILENCES[phase](client)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_a_half_open_client_is_answered_and_let_go(stage: Stage):
    with stage.client() as client:
        client.send(startup_packet(*WHO))
        client.socket.shutdown(socket.SHUT_WR)
        client.until(b"R")
        assert client.read_to_end() == b""
