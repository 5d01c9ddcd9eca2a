from __future__ import annotations

import pytest

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import ScanLimits
from protocols.postgres.refuse import refusal_message
from protocols.postgres.scan import PostgresScanner
from protocols.statements import Outcome, Statement, StatementSink
from tests.protocols.postgres.conversation import (
    BOUND,
    CALLED,
    COPY_IN,
    DESCRIBED,
    EMPTY,
    FLUSH,
    PARSED,
    RAN,
    READY,
    ROW,
    SUSPENDED,
    SYNC,
    Slicing,
    Talk,
    bind,
    byte_by_byte,
    complete,
    error,
    execute,
    function,
    message,
    messages,
    parse,
    query,
    ready,
    three_slicings,
    unnamed,
    whole,
)

SAID = refusal_message(Refusal(Reason.NOT_PERMITTED, "not here"), is_fatal=False)
SYNTAX_ERROR = error(b"42601", text=b'syntax error at or near "accode"')


def talk_with_rule(slicing: Slicing = whole) -> Talk:
    return Talk(slicing, refused=b"secret")


def codes(stream: bytes) -> bytes:
    return b"".join(part[:1] for part in messages(stream))


@three_slicings
def test_a_refused_query_never_reaches_the_server(slicing: Slicing):
    talk = talk_with_rule(slicing)
    sent = talk.client(query(b"select secret"))
    assert b"select" not in sent
    assert codes(sent) == b"Q"
    assert talk.server(SYNTAX_ERROR + READY) == SAID + READY
    assert talk.told == [("simple", b"select secret", "refused")]
    assert talk.last.code == "42501"
    assert not talk.scanner.is_ended_by_server
    talk.passes(query(b"select 1"), DESCRIBED + ROW + complete(b"SELECT 1") + READY)
    talk.finish()


@three_slicings
def test_what_stands_around_a_refused_query_passes_untouched(slicing: Slicing):
    talk = talk_with_rule(slicing)
    first, last = query(b"select 1"), query(b"select 2")
    sent = talk.client(first, query(b"secret" * 50), last)
    assert sent.startswith(first)
    assert sent.endswith(last)
    assert b"secret" not in sent
    one = complete(b"SELECT 0") + READY
    assert talk.server(one + SYNTAX_ERROR + READY + one) == one + SAID + READY + one
    assert [outcome for _, _, outcome in talk.told] == ["succeeded", "refused", "succeeded"]
    talk.finish()


@three_slicings
def test_a_refusal_in_a_pipeline_has_its_place(slicing: Slicing):
    talk = talk_with_rule(slicing)
    sent = talk.client(
        unnamed(b"select 1"),
        unnamed(b"select secret"),
        unnamed(b"select 2"),
        SYNC,
        unnamed(b"select 3"),
        SYNC,
    )
    assert b"secret" not in sent
    assert codes(sent) == b"PBEPBEPBESPBES"
    assert talk.server(RAN, SYNTAX_ERROR, READY, RAN, READY) == RAN + SAID + READY + RAN + READY
    assert talk.told == [
        ("execute", b"select 1", "succeeded"),
        ("execute", b"select secret", "refused"),
        ("execute", b"select 2", "skipped"),
        ("execute", b"select 3", "succeeded"),
    ]
    assert talk.sink.ended[1].code == "42501"
    talk.finish()


def test_a_refused_unnamed_parse_makes_away_with_the_one_before_it_as_any_that_fails():
    talk = talk_with_rule()
    sent = talk.client(parse(b"secret"), parse(b"secret", b"s"))
    assert [part[5:].split(b"\0")[0] for part in messages(sent)] == [b"", b"accode_proxy_refused"]


@three_slicings
def test_a_refused_named_parse_leaves_no_statement(slicing: Slicing):
    talk = talk_with_rule(slicing)
    talk.client(parse(b"select secret", b"s") + bind(b"", b"s") + execute() + SYNC)
    assert talk.server(SYNTAX_ERROR, READY) == SAID + READY
    assert talk.told == [
        ("prepare", b"select secret", "refused"),
        ("execute", b"select secret", "skipped"),
    ]
    talk.client(bind(b"", b"s") + execute() + SYNC)
    no_such = error(b"26000")
    assert talk.server(no_such, READY) == no_such + READY
    talk.finish()


class LateRule(StatementSink):
    """Allows everything until it is told to refuse: a policy that changes."""

    def __init__(self) -> None:
        self.refuses = False
        self.ended: list[Statement] = []

    def begin(self, statement: Statement) -> Refusal | None:
        return Refusal(Reason.NOT_PERMITTED, "not here") if self.refuses else None

    def end(self, statement: Statement) -> None:
        self.ended.append(statement)


@pytest.mark.parametrize("slicing", [whole, byte_by_byte])
def test_a_refused_execute_of_a_prepared_statement_never_reaches_the_server(slicing: Slicing):
    rule = LateRule()
    scanner = PostgresScanner(rule, ScanLimits())

    def client(stream: bytes) -> bytes:
        return b"".join(scanner.from_client(part, 0.0) for part in slicing(stream))

    def server(stream: bytes) -> bytes:
        return b"".join(scanner.from_server(part, 0.0) for part in slicing(stream))

    client(parse(b"select 1", b"s") + bind(b"p", b"s") + FLUSH)
    server(PARSED + BOUND)
    rule.refuses = True
    sent = client(execute(b"p", 7) + SYNC)
    assert codes(sent) == b"PS"
    assert server(SYNTAX_ERROR + READY) == SAID + READY
    assert [each.outcome for each in rule.ended] == [Outcome.PREPARED, Outcome.REFUSED]
    assert not scanner.has_outstanding


@three_slicings
def test_a_refused_function_call_never_reaches_the_server(slicing: Slicing):
    talk = Talk(slicing, refused=b"oid 99")
    sent = talk.client(function(99, b"argument" * 100))
    assert codes(sent) == b"Q"
    assert b"argument" not in sent
    assert talk.server(SYNTAX_ERROR + READY) == SAID + READY
    assert talk.told == [("function", b"function call of oid 99", "refused")]
    talk.finish()


@three_slicings
def test_a_refusal_inside_a_transaction_fails_it_as_any_error_does(slicing: Slicing):
    talk = talk_with_rule(slicing)
    talk.passes(query(b"begin"), complete(b"BEGIN") + ready(b"T"))
    talk.client(query(b"secret"))
    assert talk.server(SYNTAX_ERROR, ready(b"E")) == SAID + ready(b"E")
    assert talk.is_in_transaction()
    talk.client(query(b"secret"))
    assert talk.server(SYNTAX_ERROR, ready(b"E")) == SAID + ready(b"E")
    talk.passes(query(b"rollback"), complete(b"ROLLBACK") + READY)
    talk.finish()


@three_slicings
def test_what_is_refused_while_the_server_skips_is_dropped(slicing: Slicing):
    talk = talk_with_rule(slicing)
    talk.passes(unnamed(b"fail") + FLUSH, PARSED + BOUND + error())
    kept = bind() + execute() + SYNC
    assert talk.client(query(b"secret") + parse(b"secret") + kept) == kept
    assert talk.server(READY) == READY
    assert talk.told == [
        ("execute", b"fail", "failed"),
        ("simple", b"secret", "skipped"),
        ("prepare", b"secret", "skipped"),
    ]
    talk.finish()


@three_slicings
def test_a_refused_statement_too_long_to_be_kept_is_dropped_whole(slicing: Slicing):
    talk = Talk(slicing, refused=b"secret", limits=ScanLimits(text=32))
    after = query(b"select 1")
    for long in (query(b"secret" + b"x" * 999), unnamed(b"secret" + b"x" * 999) + SYNC):
        sent = talk.client(long, after)
        assert b"secret" not in sent
        assert b"xx" not in sent
        assert sent.endswith(after)
        talk.server(SYNTAX_ERROR + READY + EMPTY + READY)
    assert [each.text_length for each in talk.sink.begun] == [1005, 8, 1005, 8]
    talk.finish()


@three_slicings
def test_a_servers_long_error_is_still_rewritten(slicing: Slicing):
    talk = talk_with_rule(slicing)
    talk.client(query(b"secret"))
    long = error(b"42601", text=b"blah" * 5000)
    assert talk.server(long, READY) == SAID + READY
    assert talk.scanner.client_message_remaining == 0
    talk.finish()


def test_a_refusal_holds_its_place_while_the_servers_error_is_half_here():
    talk = talk_with_rule()
    talk.client(query(b"secret"))
    long = error(b"42601", text=b"blah" * 5000)
    assert talk.server(long[:2000]) == SAID
    assert not talk.is_idle()
    assert talk.server(long[2000:]) == b""
    assert talk.server(READY) == READY


@three_slicings
@pytest.mark.parametrize(
    "answer",
    [
        DESCRIBED + ROW + complete(b"SELECT 1") + READY,
        EMPTY + READY,
        COPY_IN + READY,
        READY,
        CALLED + READY,
    ],
)
@pytest.mark.parametrize("sent", [query(b"secret"), function(99)])
def test_a_server_that_accepts_a_refused_query_breaks_the_protocol(
    slicing: Slicing, answer: bytes, sent: bytes
):
    talk = Talk(slicing, refused=b"99" if sent[:1] == b"F" else b"secret")
    talk.client(sent)
    with pytest.raises(PeerViolation):
        talk.server(answer)
    talk.close()
    assert talk.last.outcome is Outcome.REFUSED
    assert talk.last.code == "42501"


@pytest.mark.parametrize("answer", [PARSED, BOUND, complete(b"SELECT 1"), SUSPENDED, READY])
def test_a_server_that_accepts_a_refused_parse_breaks_the_protocol(answer: bytes):
    talk = talk_with_rule()
    talk.client(unnamed(b"secret"), SYNC)
    with pytest.raises(PeerViolation):
        talk.server(answer)
    talk.close()
    assert talk.told == [("execute", b"secret", "refused")]


@pytest.mark.parametrize("answer", [complete(b"SELECT 1"), SUSPENDED, EMPTY])
def test_a_server_that_accepts_a_refused_execute_breaks_the_protocol(answer: bytes):
    rule = LateRule()
    scanner = PostgresScanner(rule, ScanLimits())
    scanner.from_client(parse(b"select 1", b"s") + bind(b"p", b"s") + FLUSH, 0.0)
    scanner.from_server(PARSED + BOUND, 0.0)
    rule.refuses = True
    scanner.from_client(execute(b"p") + SYNC, 0.0)
    with pytest.raises(PeerViolation):
        scanner.from_server(answer, 0.0)


@three_slicings
def test_a_session_that_ends_before_the_servers_error_still_tells_the_refusal(slicing: Slicing):
    talk = talk_with_rule(slicing)
    talk.client(query(b"secret"))
    talk.server(error(b"57P01", b"FATAL"))
    talk.close()
    assert talk.told == [("simple", b"secret", "refused")]
    assert talk.last.code == "42501"


class Broken(StatementSink):
    """A sink whose log cannot be written."""

    def __init__(self) -> None:
        self.ended: list[Statement] = []

    def begin(self, statement: Statement) -> Refusal | None:
        if statement.text == b"select 2":
            raise Refusal(Reason.AUDIT_UNAVAILABLE, "the audit log cannot be written")
        return None

    def end(self, statement: Statement) -> None:
        self.ended.append(statement)


@pytest.mark.parametrize(
    "second", [query(b"select 2"), parse(b"select 2"), parse(b"select 2", b"s")]
)
def test_a_sink_that_raises_ends_the_session_and_nothing_leaves(second: bytes):
    sink = Broken()
    scanner = PostgresScanner(sink, ScanLimits())
    with pytest.raises(Refusal) as caught:
        scanner.from_client(query(b"select 1") + second, 0.0)
    assert caught.value.reason is Reason.AUDIT_UNAVAILABLE
    scanner.close(1.0)
    assert [(each.text, each.outcome) for each in sink.ended] == [
        (b"select 1", Outcome.INTERRUPTED)
    ]


class Redactor(LateRule):
    """Puts a fingerprint in the place of a secret text."""

    def begin(self, statement: Statement) -> Refusal | None:
        statement.text = statement.text.replace(b"secret", b"***")
        return None


def test_a_redacted_text_stays_redacted():
    sink = Redactor()
    scanner = PostgresScanner(sink, ScanLimits())
    sent = parse(b"alter role x password 'secret'", b"s") + bind(b"", b"s") + execute() + SYNC
    assert scanner.from_client(sent, 0.0) == sent
    scanner.from_server(PARSED + BOUND + complete(b"ALTER ROLE") + READY, 0.0)
    assert [each.text for each in sink.ended] == [b"alter role x password '***'"] * 2
    assert not scanner.has_outstanding


def test_the_servers_error_shows_nothing_of_the_rule():
    talk = talk_with_rule()
    talk.client(query(b"secret"))
    said = talk.server(SYNTAX_ERROR + READY)
    assert b"not here" in said
    assert b"the rule that said so" not in said
    assert b"accode" not in said


def test_an_error_of_another_kind_in_the_place_of_a_refusal_is_rewritten_too():
    talk = talk_with_rule()
    talk.client(query(b"secret"))
    odd = message(b"E", b"\0")
    assert talk.server(odd, READY) == SAID + READY
