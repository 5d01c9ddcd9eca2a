from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import PeerViolation, Refusal
from protocols.postgres.scram import BINDING_HEADER, keys_of
from protocols.postgres.scram_client import ScramClient
from protocols.postgres.scram_server import ScramServer
from protocols.verifiers import TokenVerifier, TokenVerifiers
from tests.protocols.postgres.login import BINDING, stretch, verifiers
from tests.protocols.postgres.test_scram import (
    FIRST_BARE,
    PROOF,
    SERVER_FIRST,
    SIGNATURE,
    WITHOUT_PROOF,
)

NONCE = b"server"


def exchange(
    token: bytes,
    against: TokenVerifiers,
    header: bytes = b"n,,",
    seen: bytes = b"",
    binding: bytes | None = None,
):
    """A whole exchange; ``seen`` is the binding that the client computed."""
    server = ScramServer(against, NONCE, binding, header.startswith(b"p"))
    client = ScramClient(b"client", header, seen)
    challenge = client.challenge(server.first(client.first()))
    final = client.final(stretch(token, challenge.salt, challenge.iterations))
    return server.final(final), client


def test_the_exchange_of_rfc_7677_succeeds_to_the_letter():
    salt = base64.b64decode(b"W22ZaJ0SNY7soEsUEjb6gQ==")
    keys = keys_of(hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096))
    entry = TokenVerifier("t1", keys.stored_key, keys.server_key, b"", b"")
    server = ScramServer(
        TokenVerifiers(salt, 4096, (entry,)), b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", None, False
    )
    assert server.first(b"n,," + FIRST_BARE) == SERVER_FIRST
    proven = server.final(WITHOUT_PROOF + b",p=" + PROOF)
    assert proven is not None
    assert (proven.token_id, proven.server_final) == ("t1", b"v=" + SIGNATURE)


@pytest.mark.parametrize("token", [b"one", b"two", b"three"])
def test_any_live_token_of_the_workspace_logs_in_and_is_named(token: bytes):
    proven, client = exchange(token, verifiers(b"one", b"two", b"three"))
    assert proven is not None
    assert proven.token_id == token.decode()
    assert client.verify(proven.server_final)


def test_a_wrong_token_proves_nothing():
    proven, _ = exchange(b"four", verifiers(b"one", b"two"))
    assert proven is None


def test_a_workspace_without_live_tokens_admits_nobody():
    proven, _ = exchange(b"one", verifiers())
    assert proven is None


def test_fake_verifiers_admit_nobody_even_who_knows_their_token():
    proven, _ = exchange(b"one", verifiers(b"one", is_real=False))
    assert proven is None


def test_a_client_bound_to_our_certificate_logs_in():
    proven, _ = exchange(b"one", verifiers(b"one"), BINDING_HEADER, BINDING, BINDING)
    assert proven is not None


def test_a_client_bound_to_another_certificate_is_refused():
    with pytest.raises(Refusal, match="channel binding check failed") as caught:
        exchange(b"one", verifiers(b"one"), BINDING_HEADER, b"x" * 32, BINDING)
    assert caught.value.code == "28000"


def test_flag_y_logs_in_where_we_could_not_offer_binding():
    proven, _ = exchange(b"one", verifiers(b"one"), b"y,,")
    assert proven is not None


def test_flag_y_where_we_offered_binding_betrays_a_downgrade():
    with pytest.raises(Refusal, match="channel binding negotiation error") as caught:
        exchange(b"one", verifiers(b"one"), b"y,,", binding=BINDING)
    assert caught.value.code == "28000"


def test_flag_n_is_free_to_decline_binding():
    proven, _ = exchange(b"one", verifiers(b"one"), b"n,,", binding=BINDING)
    assert proven is not None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,",
        b"n,,",
        b"n,,n=,r=",
        b"n,,n=,r=a b",
        b"n,,n=,r=a\0",
        b"n,,r=abc",
        b"n,,m=x,n=,r=abc",
        b"n,a=root,n=,r=abc",
        b"n,x,n=,r=abc",
        b"x,,n=,r=abc",
        b"y;,n=,r=abc",
        b"n,,n=,r=abc,1=x",
        b"n,,n=,r=abc,xy",
        b"p=tls-server-end-point,,n=,r=abc",
    ],
)
def test_a_malformed_first_message_is_a_violation(message: bytes):
    with pytest.raises(PeerViolation):
        ScramServer(verifiers(b"one"), NONCE, None, False).first(message)


@pytest.mark.parametrize(
    "message",
    [b"n,,n=,r=abc", b"y,,n=,r=abc", b"p=tls-unique,,n=,r=abc", b"p=tls-exporter,,n=,r=abc"],
)
def test_plus_takes_tls_server_end_point_alone(message: bytes):
    with pytest.raises(PeerViolation):
        ScramServer(verifiers(b"one"), NONCE, BINDING, True).first(message)


def test_the_user_name_in_scram_is_ignored():
    server = ScramServer(verifiers(b"one"), NONCE, None, False)
    assert server.first(b"n,,n=somebody,r=abc,x=y").startswith(b"r=abcserver,s=")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws",
        b"c=biws,r=abcserver",
        b"c=biws,r=abc,p=" + PROOF,
        b"c=biws,r=abcserverx,p=" + PROOF,
        b"c=eSws,r=abcserver,p=" + PROOF,
        b"c=cD10bHMtc2VydmVyLWVuZC1wb2ludCws,r=abcserver,p=" + PROOF,
        b"c=biws,r=abcserver,p=AAAA",
        b"c=biws,r=abcserver,p=" + PROOF[:-1],
        b"c=biws,r=abcserver,p=" + PROOF + b",x=y",
        b"c=biws,r=abcserver,p=" + PROOF + b",",
        b"c=biws,r=abcserver,p=" + PROOF + b"\0",
        b"c=biws,r=abcserver,x,p=" + PROOF,
    ],
)
def test_a_malformed_final_message_is_a_violation(message: bytes):
    server = ScramServer(verifiers(b"one"), NONCE, None, False)
    server.first(b"n,,n=,r=abc")
    with pytest.raises(PeerViolation):
        server.final(message)


@given(st.binary(max_size=80), st.binary(max_size=120))
def test_no_message_does_anything_but_fail_cleanly(first: bytes, final: bytes):
    server = ScramServer(verifiers(b"one"), NONCE, BINDING, True)
    for read, message in ((server.first, first), (server.final, final)):
        try:
            read(message)
        except (PeerViolation, Refusal):
            return


@given(st.text("nypcrsa=,biw%0123", max_size=60), st.text("crp=,biwsAabc", max_size=60))
def test_nothing_that_looks_like_scram_does_anything_but_fail_cleanly(first: str, final: str):
    server = ScramServer(verifiers(b"one"), NONCE, None, False)
    try:
        server.first(b"n,," + first.encode())
        assert server.final(b"c=biws,r=" + final.encode()) is None
    except (PeerViolation, Refusal):
        pass
