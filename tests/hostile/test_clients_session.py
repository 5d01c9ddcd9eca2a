"""Hostile clients that have a token: within their session, and across sessions."""

from __future__ import annotations

import base64
import secrets
import socket
import struct
from contextlib import ExitStack

import pytest

from tests.hostile.raw import (
    FLUSH,
    SYNC,
    TERMINATE,
    Key,
    RawClient,
    Refused,
    bind,
    close_statement,
    execute,
    first_column,
    message,
    parse,
    query,
    send_cancel,
)
from tests.hostile.stage import CREDENTIAL_USED, LOGON, Stage, of_type, text_of, wrong_logins
from tests.servers.proxy import Record
from tests.servers.waiting import wait_until


def executed(events: list[Record]) -> list[str]:
    """The statements that ran, as the log tells it, without the bystander's."""
    return [
        text_of(event)
        for event in events
        if text_of(event) and event["unmapped"].get("outcome") == "succeeded"
    ]


# --- who ------------------------------------------------------------------------------


def failure(stage: Stage, workspace: str, token: str, source: str) -> tuple[str, str]:
    with stage.client() as client, pytest.raises(Refused) as refused:
        client.log_in(workspace, token, source)
    text = refused.value.text
    return refused.value.code, text.replace(f'"{workspace}"', '"..."')


def test_every_failed_login_is_told_in_the_same_words(stage: Stage, marker: str):
    answers = {failure(stage, *login) for login in wrong_logins(stage)}
    codes = {code for code, _ in answers}
    assert codes == {"28P01"}
    assert {text.rpartition("user ")[0] for _, text in answers} == {
        "password authentication failed for "
    }
    events = stage.events_since(marker)
    assert of_type(events, CREDENTIAL_USED) == []
    assert [event["status"] for event in of_type(events, LOGON)] == ["Failure"] * 8


def test_a_foreign_source_is_told_as_one_that_does_not_exist(stage: Stage, marker: str):
    token = stage.tokens["alpha"]
    answers = {
        failure(stage, "alpha", token, name)
        for name in ("ledger", "nowhere", "orders ", "ORDERS", "../orders", "alpha")
    }
    assert len(answers) == 1
    assert answers.pop()[0] == "3D000"
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


def test_a_suspended_workspace_opens_nothing_and_tells_strangers_nothing(stage: Stage):
    proxy = stage.proxy
    token = proxy.create_workspace("resting")
    proxy.suspend("resting")
    marker = stage.mark()
    unknown = failure(stage, "no-such-workspace", "acp_wrong", "orders")
    assert failure(stage, "resting", "acp_wrong", "orders") == unknown
    code, text = failure(stage, "resting", token, "orders")
    assert code in ("28P01", "42501")
    assert failure(stage, "resting", token, "nowhere") == (code, text)
    assert of_type(stage.events_since(marker), CREDENTIAL_USED) == []


def test_a_revoked_token_is_a_wrong_one(stage: Stage):
    token = stage.proxy.create_token("alpha", "soon revoked")
    codes = set()

    def logs_in() -> bool:
        with stage.client() as client:
            try:
                client.log_in("alpha", token, "orders")
            except Refused as refused:
                codes.add(refused.code)
                return False
        return True

    wait_until(logs_in, what="the new token to be known")
    stage.proxy.revoke_token("alpha", token)
    wait_until(lambda: not logs_in(), what="the revoked token to be refused")
    # 57P01 where the change comes between the login and the welcome.
    assert codes <= {"28P01", "57P01"}
    wrong = failure(stage, "alpha", "acp_wrong", "orders")
    assert failure(stage, "alpha", token, "orders") == wrong


SASL = {
    "an unknown mechanism": b"PLAIN\0" + struct.pack("!I", 4) + b"n,,x",
    "a mechanism without an end": b"SCRAM-SHA-256",
    "a length past the body": b"SCRAM-SHA-256\0" + struct.pack("!I", 4000) + b"n,,n=,r=abc",
    "a negative length": b"SCRAM-SHA-256\0" + struct.pack("!i", -2),
    "channel binding without TLS": b"SCRAM-SHA-256-PLUS\0" + struct.pack("!I", 3) + b"p=x",
    "an authorization identity": b"SCRAM-SHA-256\0" + struct.pack("!I", 14) + b"n,a=x,n=,r=abc",
    "a mandatory extension": b"SCRAM-SHA-256\0" + struct.pack("!I", 14) + b"n,,m=1,n=,r=ab",
    "a NUL": b"SCRAM-SHA-256\0" + struct.pack("!I", 11) + b"n,,n=,r=a\0c",
    "too much": b"SCRAM-SHA-256\0" + struct.pack("!I", 5000) + b"n,,n=,r=" + b"a" * 4992,
    "nothing": b"",
}


@pytest.mark.parametrize("name", SASL)
def test_a_malformed_proof_is_a_violation_and_on_record(stage: Stage, marker: str, name: str):
    with stage.client() as client:
        client.start(("user", "alpha"), ("database", "orders"))
        client.until(b"R")
        client.send(message(b"p", SASL[name]))
        assert client.refusal().code == "08P01"
    events = stage.events_since(marker)
    assert [event["status"] for event in of_type(events, LOGON)] == ["Failure"]
    assert of_type(events, CREDENTIAL_USED) == []


@pytest.mark.parametrize("code", [b"Q", b"X", b"R", b"\0"])
def test_another_message_in_the_place_of_the_proof_is_a_violation(stage: Stage, code: bytes):
    with stage.client() as client:
        client.start(("user", "alpha"), ("database", "orders"))
        client.until(b"R")
        client.send(message(code, b"SELECT 1\0"))
        assert client.refusal().code == "08P01"


def test_a_proof_cannot_be_replayed(stage: Stage):
    sent: list[bytes] = []

    class Recorder(RawClient):
        def send(self, data: bytes) -> None:
            sent.append(data)
            super().send(data)

    with Recorder(stage.proxy.port) as recorded:
        recorded.log_in("alpha", stage.tokens["alpha"], "orders")
    _, first, final = sent
    with stage.client() as client:
        client.start(("user", "alpha"), ("database", "orders"))
        client.until(b"R")
        client.send(first)
        client.until(b"R")
        client.send(final)
        assert client.refusal().code == "08P01"


def test_a_proof_of_the_right_form_and_no_token_is_refused(stage: Stage):
    with stage.client() as client:
        client.start(("user", "alpha"), ("database", "orders"))
        client.until(b"R")
        first = b"n,,n=,r=abcdefgh"
        client.send(message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first))
        nonce = client.until(b"R")[-1][1][4:].split(b",")[0]
        proof = base64.b64encode(secrets.token_bytes(32))
        client.send(message(b"p", b"c=biws," + nonce + b",p=" + proof))
        assert client.refusal().code == "28P01"


# --- broken messages in a session -----------------------------------------------------

BROKEN_MESSAGES = {
    "an unknown type": message(b"?", b"what"),
    "a type of the server's": message(b"D", b"")[:1] + struct.pack("!I", 4),
    "a password": message(b"p", b"secret\0"),
    "a length of 0": b"Q\0\0\0\0",
    "a length of 3": b"Q\0\0\0\3",
    "a negative length": b"Q\xff\xff\xff\xff",
    "a length past a gigabyte": b"Q\x40\0\0\0SELECT 1\0",
    # CVE-2024-27304: a 32-bit length that has come round again.
    "a Bind whose length has overflowed": b"B\0\0\0\4" + b"\0\0" + bytes(40),
    "a Bind past a gigabyte": b"B\x7f\xff\xff\xff\0\0" + bytes(100),
    "a Bind without its names": message(b"B", b"portal"),
    "a Parse without a text": message(b"P", b"name\0SELECT 1"),
    "a Parse with more types than bytes": message(b"P", b"\0SELECT 1\0\x7f\xff"),
    "a query without an end": message(b"Q", b"SELECT 1"),
    "a query with two ends": message(b"Q", b"SELECT 1\0; DROP TABLE x\0"),
    "an empty query message": message(b"Q"),
    "a Sync with a body": message(b"S", b"x"),
    "a Terminate with a body": message(b"X", b"x"),
    "an Execute without a limit": message(b"E", b"\0"),
    "a Describe of nothing": message(b"D"),
    "a Close of what does not exist": message(b"C", b"Qname\0"),
    "a name too long": message(b"E", b"a" * 5_000 + bytes(5)),
    "a start-up packet": struct.pack("!II", 8, 196608),
    "a ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
}


@pytest.mark.parametrize("name", BROKEN_MESSAGES)
def test_a_broken_message_ends_its_session_alone(stage: Stage, name: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(BROKEN_MESSAGES[name])
        refused = client.refusal()
    assert refused.code == "08P01"
    assert "secret" not in refused.text


def test_what_stood_before_a_broken_message_is_on_record(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(query("SELECT 'before the break'") + message(b"?", b"what"))
        client.read_to_end()
    texts = [text_of(event) for event in stage.events_since(marker)]
    assert texts.count("SELECT 'before the break'") == 1


def test_a_huge_query_that_never_comes_holds_nothing_up(stage: Stage):
    with stage.log_in("alpha", "orders") as client:
        client.send(b"Q" + struct.pack("!I", 0x3FFFFFF0) + b"SELECT '" + b"x" * 200_000)
        assert stage.bystander is not None
        assert stage.bystander.value("SELECT 2") == "2"


# --- what really ran ------------------------------------------------------------------


def test_the_log_tells_what_ran_not_what_was_parsed_last(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(
            parse("s", "SELECT 'first'")
            + parse("t", "SELECT 'second'")
            + bind("", "s")
            + execute()
            + SYNC
        )
        assert first_column(client.until(b"Z")) == ["first"]
    ran = executed(stage.events_since(marker))
    assert "SELECT 'first'" in ran
    assert "SELECT 'second'" not in ran


def test_a_name_parsed_again_after_close_runs_the_new_text(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(parse("s", "SELECT 'old'") + SYNC)
        client.until(b"Z")
        client.send(
            close_statement("s") + parse("s", "SELECT 'new'") + bind("", "s") + execute() + SYNC
        )
        assert first_column(client.until(b"Z")) == ["new"]
    ran = executed(stage.events_since(marker))
    assert "SELECT 'new'" in ran
    assert "SELECT 'old'" not in ran


def test_a_parse_that_fails_leaves_the_old_text_to_run(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(parse("s", "SELECT 'kept'") + SYNC)
        client.until(b"Z")
        # The second Parse of a name fails, and with it the rest up to Sync.
        client.send(
            parse("s", "SELECT 'never'")
            + bind("", "s")
            + execute()
            + SYNC
            + bind("", "s")
            + execute()
            + SYNC
        )
        client.until(b"Z")
        assert first_column(client.until(b"Z")) == ["kept"]
    ran = executed(stage.events_since(marker))
    assert "SELECT 'kept'" in ran
    assert "SELECT 'never'" not in ran


def test_a_portal_keeps_the_text_it_was_bound_to(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(
            parse("s", "SELECT 'bound'")
            + bind("p", "s")
            + close_statement("s")
            + parse("s", "SELECT 'later'")
            + execute("p")
            + SYNC
        )
        assert first_column(client.until(b"Z")) == ["bound"]
    ran = executed(stage.events_since(marker))
    assert "SELECT 'bound'" in ran
    assert "SELECT 'later'" not in ran


def test_a_function_call_is_relayed_and_on_record(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        # int4pl(40, 2), by its number in pg_proc.
        oid = int(client.value("SELECT 'int4pl(int4,int4)'::regprocedure::oid"))
        arguments = struct.pack("!Ii", 4, 40) + struct.pack("!Ii", 4, 2)
        client.send(message(b"F", struct.pack("!IHHH", oid, 1, 1, 2) + arguments + b"\0\1"))
        answers = client.until(b"Z")
        assert answers[0] == (b"V", struct.pack("!Ii", 4, 42))
    ran = executed(stage.events_since(marker))
    assert f"function call of oid {oid}" in ran


# --- floods ---------------------------------------------------------------------------


def test_a_flood_of_syncs_is_answered_one_by_one(stage: Stage):
    count = 50_000
    with stage.log_in("alpha", "orders") as client:
        client.send(SYNC * count + query("SELECT 'behind'"))
        answers = client.read(count * 6)
        assert answers == message(b"Z", b"I") * count
        assert first_column(client.until(b"Z")) == ["behind"]


def test_a_flood_of_flushes_costs_nothing(stage: Stage):
    with stage.log_in("alpha", "orders") as client:
        client.send(FLUSH * 100_000 + query("SELECT 'behind'"))
        assert first_column(client.until(b"Z")) == ["behind"]


def test_a_pipeline_whose_answers_nobody_reads_stops_its_client(stage: Stage):
    with stage.log_in("alpha", "orders") as client:
        client.socket.settimeout(1.0)
        flood = query("SELECT repeat('x', 100000)") * 1_000_000
        with pytest.raises(TimeoutError):
            client.socket.sendall(flood)


def test_a_client_that_says_goodbye_is_gone_at_the_source(stage: Stage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(TERMINATE)
        assert client.read_to_end() == b""


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
def test_a_reset_behind_the_last_query_ends_the_session(stage: Stage, marker: str, tls: bool):
    for _ in range(5):
        with stage.client() as client:
            if tls:
                client.start_tls()
            client.log_in("alpha", stage.tokens["alpha"], "orders")
            client.send(query("SELECT 'last words'"))
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The stage waits for the proxy's sockets; nothing is told by a client that is gone.


# --- cancel ---------------------------------------------------------------------------


def sleeping(stage: Stage, stack: ExitStack, *, tls: bool = False) -> tuple[RawClient, Key]:
    client = stack.enter_context(stage.client())
    if tls:
        client.start_tls()
    client.log_in("alpha", stage.tokens["alpha"], "orders")
    assert client.key is not None
    sleep(stage, client)
    return client, client.key


def sleep(stage: Stage, client: RawClient) -> None:
    """Run a long statement. A cancel that overtook it would stop nothing."""
    bystander, word = stage.bystander, secrets.token_hex(8)
    assert bystander is not None
    client.send(query(f"SELECT pg_sleep(60), '{word}'"))
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%{word}%'"
    # Itself is the other one.
    wait_until(lambda: bystander.value(sql) == "2", what="the statement to run")


def test_wrong_keys_stop_nothing_and_hear_nothing(stage: Stage, marker: str):
    with ExitStack() as stack:
        client, key = sleeping(stage, stack)
        port = stage.proxy.port
        wrong = bytes(byte ^ 1 for byte in key.secret)
        guesses = [
            (key.number, wrong),
            (key.number, bytes(4)),
            (key.number, key.secret + bytes(28)),
            (key.number, key.secret * 8),
            (key.number, key.secret + bytes(252)),
            (key.number + 1, key.secret),
            (-key.number, key.secret),
            (0, key.secret),
            (-1, b"\xff" * 4),
            *((key.number, secrets.token_bytes(4)) for _ in range(100)),
        ]
        answers = {send_cancel(port, number, secret) for number, secret in guesses}
        assert answers == {b""}
        # The right one is answered the same and works: so the others did reach the proxy.
        assert send_cancel(port, key.number, key.secret) == b""
        assert client.until(b"Z")[-2][1].find(b"C57014\0") > 0


@pytest.mark.parametrize("secret", [b"", b"abc", b"x" * 257])
def test_a_cancel_key_of_a_wrong_length_is_told_nothing_of_sessions(stage: Stage, secret: bytes):
    assert b"57014" not in send_cancel(stage.proxy.port, 1, secret)


def test_a_key_of_one_tenant_does_not_stop_another(stage: Stage):
    with ExitStack() as stack:
        client, key = sleeping(stage, stack)
        assert stage.bystander is not None
        assert stage.bystander.key is not None
        send_cancel(stage.proxy.port, key.number, stage.bystander.key.secret)
        send_cancel(stage.proxy.port, stage.bystander.key.number, key.secret)
        # The bystander's own key, while it runs nothing, stops nothing later.
        send_cancel(stage.proxy.port, stage.bystander.key.number, stage.bystander.key.secret)
        assert stage.bystander.value("SELECT 3") == "3"
        send_cancel(stage.proxy.port, key.number, key.secret)
        assert client.until(b"Z")[-2][1].find(b"C57014\0") > 0


def test_a_key_is_ours_and_never_the_servers(stage: Stage):
    with stage.log_in("alpha", "orders") as client:
        assert client.key is not None
        assert client.value("SELECT pg_backend_pid()") != str(client.key.number)


def test_a_cancel_request_of_protocol_3_2_needs_the_whole_key(stage: Stage):
    with stage.client() as client:
        client.log_in("alpha", stage.tokens["alpha"], "orders", version=(3, 2))
        assert client.key is not None
        assert len(client.key.secret) == 32
        sleep(stage, client)
        send_cancel(stage.proxy.port, client.key.number, client.key.secret[:4])
        send_cancel(stage.proxy.port, client.key.number, client.key.secret[:31])
        send_cancel(stage.proxy.port, client.key.number, client.key.secret, tls=True)
        assert client.until(b"Z")[-2][1].find(b"C57014\0") > 0
