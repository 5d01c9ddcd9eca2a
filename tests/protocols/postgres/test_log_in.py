from __future__ import annotations

from collections.abc import Callable

import pytest

from protocols.channel import run
from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import UpstreamLogin
from protocols.postgres.framing import read_server_message
from protocols.postgres.log_in import log_in
from protocols.postgres.md5 import md5_response
from protocols.postgres.messages import (
    AuthenticationCleartextPassword,
    AuthenticationMD5Password,
    AuthenticationOk,
    AuthenticationSASL,
    AuthenticationSASLContinue,
    AuthenticationSASLFinal,
    PasswordMessage,
    ReadyForQuery,
    frame,
)
from protocols.postgres.scram import SCRAM_SHA_256, SCRAM_SHA_256_PLUS
from protocols.postgres.scram_server import ScramServer
from tests.protocols.postgres.login import (
    BINDING,
    OUR_NONCE,
    Script,
    derive,
    entropy,
    login,
    verifiers,
)

OK = AuthenticationOk().encode()
MD5 = AuthenticationMD5Password(b"salt").encode()
CLEARTEXT = AuthenticationCleartextPassword().encode()
PLAIN_SASL = AuthenticationSASL((SCRAM_SHA_256,)).encode()
BOTH_SASL = AuthenticationSASL((SCRAM_SHA_256_PLUS, SCRAM_SHA_256)).encode()
Line = bytes | Callable[[bytes], bytes]


def do(channel: Script, entry: UpstreamLogin) -> str:
    async def conversation() -> str:
        async def receive():
            return await read_server_message(channel)

        return await log_in(channel, entry, await receive(), receive, derive, entropy)

    return run(conversation())


def untrusted(channel: Script, entry: UpstreamLogin, match: str) -> None:
    with pytest.raises(Refusal, match=match) as caught:
        do(channel, entry)
    assert caught.value.reason is Reason.SOURCE_UNTRUSTED
    assert "pencil" not in caught.value.public + caught.value.private
    assert b"pencil" not in channel.sent


class Server:
    """The server's side of SCRAM, as lines of a script."""

    def __init__(self, offer: bytes, password: bytes = b"pencil", binding: bytes | None = None):
        self._offer = offer
        self._verifiers = verifiers(password)
        self._binding = binding
        self._scram: ScramServer

    def lines(self, *end: bytes) -> list[Line]:
        return [self._offer, self.first, self.final, *(end or (OK,))]

    def first(self, sent: bytes) -> bytes:
        initial = sent[sent.rindex(b"SCRAM") :]
        mechanism, _, rest = initial.partition(b"\0")
        is_plus = mechanism == SCRAM_SHA_256_PLUS
        binding = self._binding if SCRAM_SHA_256_PLUS in self._offer else None
        self._scram = ScramServer(self._verifiers, b"theirs", binding, is_plus)
        return AuthenticationSASLContinue(self._scram.first(rest[4:])).encode()

    def final(self, sent: bytes) -> bytes:
        proven = self._scram.final(sent[sent.rindex(b"c=") :])
        assert proven is not None
        return AuthenticationSASLFinal(proven.server_final).encode()


def test_scram_over_plaintext_uses_no_binding():
    channel = Script(*Server(PLAIN_SASL).lines())
    assert do(channel, login()) == "scram-sha-256"
    assert b"n,,n=,r=" + OUR_NONCE in channel.sent


def test_plus_is_preferred_where_it_is_offered_and_possible():
    server = Server(BOTH_SASL, binding=BINDING)
    channel = Script(*server.lines(), encrypted=True, binding=BINDING)
    assert do(channel, login()) == "scram-sha-256-plus"


def test_a_server_that_does_not_offer_binding_over_tls_is_told_that_we_could():
    channel = Script(*Server(PLAIN_SASL).lines(), encrypted=True, binding=BINDING)
    assert do(channel, login()) == "scram-sha-256"
    assert b"y,,n=,r=" in channel.sent


def test_binding_switched_off_for_a_source_is_no_downgrade():
    server = Server(BOTH_SASL, binding=BINDING)
    channel = Script(*server.lines(), encrypted=True, binding=BINDING)
    assert do(channel, login(methods=("scram-sha-256",))) == "scram-sha-256"
    assert b"n,,n=,r=" in channel.sent


def test_an_undefined_binding_is_no_downgrade():
    channel = Script(*Server(BOTH_SASL).lines(), encrypted=True, binding=None)
    assert do(channel, login()) == "scram-sha-256"
    assert b"n,,n=,r=" in channel.sent


def test_binding_can_be_demanded_by_listing_plus_alone():
    channel = Script(PLAIN_SASL, encrypted=True, binding=BINDING)
    untrusted(channel, login(methods=("scram-sha-256-plus",)), "not allowed here")


def test_plus_alone_over_plaintext_is_refused():
    channel = Script(AuthenticationSASL((SCRAM_SHA_256_PLUS,)).encode())
    untrusted(channel, login(), "only SCRAM-SHA-256-PLUS")


@pytest.mark.parametrize("mechanisms", [(), (b"OAUTHBEARER",), (b"SCRAM-SHA-1", b"PLAIN")])
def test_other_mechanisms_are_not_supported(mechanisms: tuple[bytes, ...]):
    with pytest.raises(Refusal) as caught:
        do(Script(AuthenticationSASL(mechanisms).encode()), login())
    assert caught.value.reason is Reason.UNSUPPORTED


def test_a_password_that_is_not_ascii_is_prepared_as_postgresql_does():
    channel = Script(*Server(PLAIN_SASL, password=b"IX").lines())
    assert do(channel, login(password="\u2168".encode())) == "scram-sha-256"


def test_a_server_that_does_not_know_the_password_is_not_trusted():
    server = Server(PLAIN_SASL)
    forged = AuthenticationSASLFinal(b"v=" + b"A" * 43 + b"=").encode()
    untrusted(Script(PLAIN_SASL, server.first, forged, OK), login(), "could not prove")


@pytest.mark.parametrize("ends_after", [1, 2])
def test_a_server_cannot_skip_its_own_proof(ends_after: int):
    lines = Server(PLAIN_SASL).lines()[:ends_after]
    untrusted(Script(*lines, OK), login(), "before it proved")


def test_a_server_error_within_scram_is_not_trusted():
    server = Server(PLAIN_SASL)
    error = AuthenticationSASLFinal(b"e=other-error").encode()
    untrusted(Script(PLAIN_SASL, server.first, error), login(), "could not prove")


@pytest.mark.parametrize("repeated", [0, 1, 2])
def test_a_step_of_scram_may_not_come_twice(repeated: int):
    lines = Server(PLAIN_SASL).lines()
    lines.insert(repeated, lines[repeated])
    if repeated == 2:
        lines[3] = AuthenticationSASLFinal(b"v=" + b"A" * 43 + b"=").encode()
    with pytest.raises(PeerViolation):
        do(Script(*lines), login())


@pytest.mark.parametrize("message", [MD5, CLEARTEXT, PLAIN_SASL])
def test_a_method_cannot_change_in_the_middle(message: bytes):
    server = Server(PLAIN_SASL)
    channel = Script(PLAIN_SASL, server.first, message)
    with pytest.raises(PeerViolation, match="out of step"):
        do(channel, login(methods=("scram-sha-256", "md5", "cleartext")))


def challenge(text: bytes) -> bytes:
    return AuthenticationSASLContinue(b"r=" + OUR_NONCE + b"theirs,s=c2FsdA==,i=" + text).encode()


@pytest.mark.parametrize("count", [b"100001", b"2147483647", b"9999999999"])
def test_more_iterations_than_the_cap_are_refused_before_they_are_computed(count: bytes):
    untrusted(Script(PLAIN_SASL, challenge(count)), login(), "more than 100000")


@pytest.mark.parametrize("count", [b"1", b"4095"])
@pytest.mark.parametrize("is_encrypted", [False, True])
def test_an_unverified_server_cannot_ask_for_a_proof_that_is_cheap_to_guess(
    count: bytes, is_encrypted: bool
):
    channel = Script(PLAIN_SASL, challenge(count), encrypted=is_encrypted)
    untrusted(channel, login(is_tls_verified=not is_encrypted), "fewer than 4096")


def test_a_verified_server_may_ask_for_one_iteration():
    channel = Script(PLAIN_SASL, challenge(b"1"), encrypted=True)
    with pytest.raises(Exception, match="closed"):
        do(channel, login(is_tls_verified=True))
    assert b",p=" in channel.sent


def test_a_nonce_that_is_not_ours_is_a_violation():
    line = AuthenticationSASLContinue(b"r=theirs,s=c2FsdA==,i=4096").encode()
    with pytest.raises(PeerViolation, match="nonce"):
        do(Script(PLAIN_SASL, line), login())


def test_md5_where_the_source_allows_it():
    channel = Script(MD5, OK)
    assert do(channel, login(methods=("md5",))) == "md5"
    assert channel.sent == PasswordMessage(md5_response(b"pencil", b"app", b"salt")).encode()


def test_a_downgrade_to_md5_is_refused():
    untrusted(Script(MD5, OK), login(), "md5")


def test_cleartext_where_the_source_allows_it_and_tls_verified_the_server():
    channel = Script(CLEARTEXT, OK, encrypted=True)
    assert do(channel, login(methods=("cleartext",), is_tls_verified=True)) == "cleartext"
    assert channel.sent == PasswordMessage(b"pencil").encode()


def test_a_downgrade_to_cleartext_is_refused():
    channel = Script(CLEARTEXT, OK, encrypted=True)
    untrusted(channel, login(is_tls_verified=True), "cleartext")


@pytest.mark.parametrize(("encrypted", "verified"), [(False, False), (False, True), (True, False)])
def test_cleartext_never_leaves_without_verified_tls(encrypted: bool, verified: bool):
    channel = Script(CLEARTEXT, OK, encrypted=encrypted)
    entry = login(methods=("cleartext",), is_tls_verified=verified)
    untrusted(channel, entry, "not verified")


def test_a_server_that_does_not_ask_for_the_stored_password_is_not_trusted():
    untrusted(Script(OK), login(methods=("trust", "cert", "scram-sha-256")), "did not ask")


@pytest.mark.parametrize(
    ("methods", "encrypted", "method"),
    [
        (("trust",), False, "trust"),
        (("trust", "cert"), False, "trust"),
        (("trust", "cert"), True, "cert"),
        (("cert",), True, "cert"),
    ],
)
def test_a_source_without_a_password_may_be_entered_at_once(methods, encrypted, method: str):
    channel = Script(OK, encrypted=encrypted)
    assert do(channel, login(password=None, methods=methods)) == method


@pytest.mark.parametrize("methods", [(), ("cert",), ("scram-sha-256",)])
def test_trust_must_be_listed(methods: tuple[str, ...]):
    untrusted(Script(OK), login(password=None, methods=methods), "not allowed here")


@pytest.mark.parametrize("password", [None, b"", b"pen\0cil"])
@pytest.mark.parametrize("asked", [MD5, CLEARTEXT, PLAIN_SASL])
def test_a_server_that_asks_for_a_password_we_cannot_send(asked: bytes, password: bytes | None):
    entry = login(
        password=password, methods=("md5", "cleartext", "scram-sha-256"), is_tls_verified=True
    )
    channel = Script(asked, encrypted=True)
    with pytest.raises(Refusal) as caught:
        do(channel, entry)
    assert caught.value.reason is Reason.CREDENTIAL_UNUSABLE
    assert not channel.sent


@pytest.mark.parametrize("number", [1, 2, 4, 6, 7, 8, 9, 13, 2**31 - 1, -1])
def test_gssapi_kerberos_sspi_and_unknown_requests_are_refused(number: int):
    line = frame(b"R", number.to_bytes(4, "big", signed=True))
    with pytest.raises(Refusal, match="not supported") as caught:
        do(Script(line), login())
    assert caught.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize("number", [11, 12])
def test_sasl_cannot_begin_in_its_middle(number: int):
    with pytest.raises(Refusal, match="not supported"):
        do(Script(frame(b"R", number.to_bytes(4, "big") + b"r=x")), login())


def test_a_server_that_is_ready_before_it_has_authenticated_is_a_violation():
    with pytest.raises(PeerViolation, match="something else"):
        do(Script(ReadyForQuery(b"I").encode()), login())


@pytest.mark.parametrize("salt", [b"", b"sal", b"salty"])
def test_an_md5_salt_has_four_bytes(salt: bytes):
    line = AuthenticationMD5Password(salt).encode()
    with pytest.raises(PeerViolation):
        do(Script(line), login(methods=("md5",)))
