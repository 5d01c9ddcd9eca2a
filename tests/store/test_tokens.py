import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.store.errors import InvalidToken
from proxy.store.tokens import TOKEN_LENGTH, new_token, parse_token, verifiers_for
from tests.servers.postgres import PostgresServer

SALT = b"0123456789abcdef"


def test_a_token_has_the_documented_shape():
    token = new_token()
    assert re.fullmatch(r"acp_[0-9A-Za-z]{10}_[0-9A-Za-z]{49}", token)
    assert len(token) == TOKEN_LENGTH == 64


def test_the_largest_secret_fits():
    token = new_token(lambda count: b"\xff" * count)
    assert parse_token(token) == token[4:14]


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
def test_every_token_is_recognised_and_names_its_id(id_bytes: bytes, secret: bytes):
    token = new_token(lambda count: id_bytes if count == 16 else secret)
    assert parse_token(token) == token[4:14]


def test_no_two_tokens_are_alike():
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert len({parse_token(token) for token in tokens}) == 1000


@given(st.integers(0, 63), st.sampled_from("0Aaz9_-é "))
def test_a_token_with_one_other_character_is_refused(place: int, other: str):
    token = new_token()
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        with pytest.raises(InvalidToken):
            parse_token(changed)


@pytest.mark.parametrize("cut", range(64))
def test_a_truncated_token_is_refused(cut: int):
    with pytest.raises(InvalidToken):
        parse_token(new_token()[:cut])


@pytest.mark.parametrize("tail", ["\n", "0", " ", "\0"])
def test_a_token_with_a_tail_is_refused(tail: str):
    with pytest.raises(InvalidToken):
        parse_token(new_token() + tail)


def test_a_refusal_does_not_repeat_the_token():
    token = new_token()
    mistyped = token[:-1] + ("A" if token[-1] != "A" else "B")
    with pytest.raises(InvalidToken) as caught:
        parse_token(mistyped)
    assert mistyped[14:20] not in str(caught.value)


def test_the_scram_keys_are_those_that_postgresql_makes(postgres: PostgresServer):
    token = new_token()
    postgres.execute(f"CREATE ROLE token_check PASSWORD '{token}'")
    [(stored,)] = postgres.execute(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'token_check'"
    )
    postgres.execute("DROP ROLE token_check")
    found = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)", stored)
    assert found
    iterations, salt, stored_key, server_key = found.groups()
    verifier = verifiers_for(token, base64.b64decode(salt), int(iterations))
    assert verifier.stored_key == base64.b64decode(stored_key)
    assert verifier.server_key == base64.b64decode(server_key)


def test_the_double_hashes_are_those_that_openssl_makes():
    token = new_token(bytes)
    assert token == "acp_0000000000_00000000000000000000000000000000000000000002y03zR"
    verifier = verifiers_for(token, SALT, 1)
    # printf %s TOKEN | openssl dgst -sha1 -binary | openssl dgst -sha1, and so for SHA-256.
    assert verifier.sha1_sha1.hex() == "36141cf85c40c105f84f99a8ed57609dfbc4d918"
    assert (
        verifier.sha256_sha256.hex()
        == "33b608f4952ecd41eb8f28fe363e3505cdcf3f323c561f221f83ecd525c51905"
    )


def test_verifiers_are_made_of_well_formed_tokens_only():
    with pytest.raises(InvalidToken):
        verifiers_for("pencil", SALT, 4096)


def test_verifiers_do_not_hold_the_token():
    token = new_token()
    verifier = verifiers_for(token, SALT, 1)
    assert token[15:].encode() not in b"".join(
        (verifier.stored_key, verifier.server_key, verifier.sha256_sha256, verifier.sha1_sha1)
    )
