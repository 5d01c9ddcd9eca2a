from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.channel import MemoryChannel, run
from protocols.errors import PeerClosed, PeerViolation
from protocols.interface import Arrival
from protocols.postgres.accept import greet
from protocols.postgres.direct_tls import NO_APPLICATION_PROTOCOL, accept_direct_tls, alpn_names
from tests.protocols.postgres.login import startup


def client_hello(*protocols: str, server_name: str | None = "proxy") -> bytes:
    """The record a real TLS library sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


class Tls(MemoryChannel):
    """A MemoryChannel whose handshake takes the ClientHello away."""

    async def start_tls(self) -> None:
        await super().start_tls()
        del self.incoming[: 5 + int.from_bytes(self.incoming[3:5], "big")]


@pytest.mark.parametrize("protocols", [("postgresql",), ("http/1.1", "postgresql")])
def test_a_hello_with_our_alpn_name_starts_tls_and_nothing_is_taken_before(protocols):
    hello = client_hello(*protocols)
    channel = MemoryChannel(hello)
    run(accept_direct_tls(channel))
    assert channel.is_encrypted
    assert channel.incoming == hello
    assert not channel.sent


@pytest.mark.parametrize("protocols", [(), ("h2", "http/1.1"), ("postgresq",), ("postgresql2",)])
def test_a_hello_without_our_alpn_name_gets_a_fatal_alert(protocols):
    channel = MemoryChannel(client_hello(*protocols))
    with pytest.raises(PeerViolation, match="ALPN"):
        run(accept_direct_tls(channel))
    assert channel.sent == NO_APPLICATION_PROTOCOL
    assert not channel.is_encrypted


def test_a_real_tls_library_understands_the_alert():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    tls = context.wrap_bio(incoming, outgoing, server_hostname="proxy")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(NO_APPLICATION_PROTOCOL)
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        tls.do_handshake()


def test_a_session_begins_inside_direct_tls():
    arrival = run(greet(Tls(client_hello("postgresql") + startup())))
    assert isinstance(arrival, Arrival)
    assert arrival.is_encrypted


def test_a_hello_cut_anywhere_is_a_closed_connection():
    hello = client_hello("postgresql")
    for end in range(len(hello)):
        with pytest.raises(PeerClosed):
            run(greet(Tls(hello[:end])))


def test_a_hello_cut_short_inside_its_record_is_malformed():
    handshake = client_hello("postgresql")[5:]
    for end in range(len(handshake)):
        with pytest.raises(PeerViolation):
            alpn_names(handshake[:end])
    with pytest.raises(PeerViolation):
        alpn_names(handshake + b"\0")


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x02\x00\x00\x10",  # SSL 2
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x03\x01\x00\x03",  # too short for a handshake header
        b"\x16\x03\x01\x40\x01",  # longer than a record may be
        b"\x16\x03\x01\xff\xff",
    ],
)
def test_a_record_that_cannot_be_a_hello_is_refused_by_its_header(start: bytes):
    with pytest.raises(PeerViolation, match="no TLS ClientHello"):
        run(accept_direct_tls(MemoryChannel(start)))


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def hello_with(extensions: bytes | None) -> bytes:
    body = b"\x03\x03" + b"r" * 32 + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    if extensions is not None:
        body += len(extensions).to_bytes(2, "big") + extensions
    return b"\x01" + len(body).to_bytes(3, "big") + body


ALPN = extension(16, b"\0\x0b\x0apostgresql")


def test_names_are_found_among_other_extensions():
    assert alpn_names(hello_with(extension(0, b"x") + ALPN + extension(1, b""))) == (b"postgresql",)


@pytest.mark.parametrize("extensions", [None, b"", extension(0, b"x")])
def test_a_hello_may_have_no_names(extensions: bytes | None):
    assert alpn_names(hello_with(extensions)) == ()


@pytest.mark.parametrize(
    "extensions",
    [
        ALPN + ALPN,
        extension(16, b""),
        extension(16, b"\0\x01\0"),
        extension(16, b"\0\x02\x02a"),
        extension(16, b"\0\x0b\x0apostgresql!"),
        b"\0\x10\0",
    ],
)
def test_a_malformed_alpn_extension_is_a_violation(extensions: bytes):
    with pytest.raises(PeerViolation):
        alpn_names(hello_with(extensions))


def test_another_handshake_message_is_no_hello():
    with pytest.raises(PeerViolation):
        alpn_names(b"\x02\0\0\0")


@given(st.binary(max_size=120))
def test_anything_is_names_or_a_violation(data: bytes):
    for handshake in (data, hello_with(data)):
        with contextlib.suppress(PeerViolation):
            alpn_names(handshake)
