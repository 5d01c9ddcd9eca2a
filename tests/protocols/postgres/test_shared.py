"""Statements of many clients on a few connections: what each is answered is as on its own.

Random pipelines through the rewriting, against a model of a server, must be answered as they
are by a model of the client's own: whatever is prepared, closed, failed or skipped, and
whichever connection a pipeline happens to run on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.interface import ScanLimits
from protocols.postgres.pooled import STATEMENTS, ServerMemory, Texts
from protocols.postgres.shared_scan import SharedScanner
from protocols.remains import Remainder
from protocols.statements import AllowAll, Outcome

NAMES = ("", "a", "b", "c")
TEXTS = ("one", "two", "three", "wrong")


def message(code: bytes, body: bytes = b"") -> bytes:
    return code + (len(body) + 4).to_bytes(4, "big") + body


def parse(name: str, text: str) -> bytes:
    return message(b"P", name.encode() + b"\0" + text.encode() + b"\0\0\0")


def bind(name: str) -> bytes:
    return message(b"B", b"\0" + name.encode() + b"\0" + b"\0\0\0\0\0\0")


def execute() -> bytes:
    return message(b"E", b"\0\0\0\0\0")


def describe(name: str) -> bytes:
    return message(b"D", b"S" + name.encode() + b"\0")


def close(name: str) -> bytes:
    return message(b"C", b"S" + name.encode() + b"\0")


def query(text: str) -> bytes:
    return message(b"Q", text.encode() + b"\0")


SYNC = message(b"S")
FLUSH = message(b"H")


@dataclass
class Model:
    """As much of a server as statements need: "wrong" does not parse, and nothing else fails."""

    statements: dict[bytes, bytes] = field(default_factory=dict)
    portal: bytes | None = None
    is_skipping: bool = False
    most: int = 0
    outdated: set[bytes] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)

    def answer(self, data: bytes) -> bytes:
        out = b""
        at = 0
        while at < len(data):
            size = int.from_bytes(data[at + 1 : at + 5], "big") + 1
            out += self._take(data[at : at + 1], data[at + 5 : at + size])
            self.most = max(self.most, len(self.statements))
            at += size
        assert at == len(data), "a message is cut"
        return out

    def _take(self, code: bytes, body: bytes) -> bytes:
        if code == b"S":
            self.is_skipping = False
            self.portal = None
            return message(b"Z", b"I")
        if self.is_skipping or code == b"H":
            return b""
        fields = body.split(b"\0")
        if code == b"P":
            return self._parse(fields[0], fields[1])
        if code == b"B":
            if fields[1] not in self.statements:
                return self._missing(fields[1])
            if self.statements[fields[1]] in self.outdated:
                return self._fail("0A000", "cached plan must not change result type")
            self.portal = self.statements[fields[1]]
            return message(b"2")
        if code == b"E":
            if self.portal is None:
                return self._fail("34000", "no portal")
            tag = b"DEALLOCATE" if self.portal.startswith(b"DEALLOCATE") else b"SELECT 1"
            return message(b"D", self.portal) + message(b"C", tag + b"\0")
        if code == b"D":
            name = body[1:-1]
            if name not in self.statements:
                return self._missing(name)
            return message(b"t", b"\0\0") + message(b"T", self.statements[name])
        if code == b"C":
            self.statements.pop(body[1:-1], None)
            return message(b"3")
        assert code == b"Q", code
        return self._query(fields[0])

    def _parse(self, name: bytes, text: bytes) -> bytes:
        if not name:
            self.statements.pop(b"", None)
        # PostgreSQL looks at the name last: of two errors it gives the other one.
        if name and name in self.statements:
            return self._fail("42P05", f'prepared statement "{name.decode()}" already exists')
        self.outdated.discard(text)
        if text in self.refused or text in (b"wrong", b"accode proxy refused this statement"):
            return self._fail("42601", "syntax error")
        self.statements[name] = text
        return message(b"1")

    def _query(self, text: bytes) -> bytes:
        self.statements.pop(b"", None)
        self.portal = None
        word, _, name = text.partition(b" ")
        if text in self.refused:
            return self._fail("55P03", "not now", is_simple=True) + message(b"Z", b"I")
        if word == b"DISCARD":
            self.statements.clear()
            return message(b"C", b"DISCARD ALL\0") + message(b"Z", b"I")
        if word == b"DEALLOCATE":
            if name == b"ALL":
                self.statements.clear()
                return message(b"C", b"DEALLOCATE ALL\0") + message(b"Z", b"I")
            if name not in self.statements:
                return self._missing(name, is_simple=True) + message(b"Z", b"I")
            del self.statements[name]
            return message(b"C", b"DEALLOCATE\0") + message(b"Z", b"I")
        return message(b"D", text) + message(b"C", b"SELECT 1\0") + message(b"Z", b"I")

    def _missing(self, name: bytes, *, is_simple: bool = False) -> bytes:
        words = f'prepared statement "{name.decode()}"' if name else "unnamed prepared statement"
        return self._fail("26000", f"{words} does not exist", is_simple=is_simple)

    def _fail(self, code: str, words: str, *, is_simple: bool = False) -> bytes:
        self.is_skipping = not is_simple
        return message(b"E", f"SERROR\0VERROR\0C{code}\0M{words}\0\0".encode())


def remains(text: bytes) -> Remainder | None:
    if text.startswith(b"DEALLOCATE"):
        name = text.partition(b" ")[2]
        return Remainder(is_deallocating=True, deallocates=None if name == b"ALL" else name)
    if text == b"DISCARD ALL":
        return Remainder(is_deallocating=True)
    return Remainder("setting") if text.startswith(b"SET") else None


class Client:
    """One client, with a server of its own to compare with."""

    def __init__(self, texts: Texts, **limits: int) -> None:
        self.sink = AllowAll()
        self.pins: list[str] = []
        self.resets = 0
        self.scanner = SharedScanner(
            self.sink, ScanLimits(**limits), texts, remains, (), self.pins.append, self._was_reset
        )
        self.own = Model()
        self.at: Connection | None = None

    def _was_reset(self) -> None:
        self.resets += 1

    def is_at(self, connection: Connection | None) -> bool:
        return self.at is connection

    def send(self, data: bytes, connection: Connection) -> bytes:
        if self.at is None:
            self.at = connection
            assert self.scanner.attach(connection.memory) == b""
        sent = self.scanner.from_client(data, 0.0)
        answers = self.scanner.from_server(self.at.model.answer(sent), 0.0)
        if self.scanner.is_releasable:
            self.scanner.detach()
            self.at = None
        return answers


class Connection:
    def __init__(self, limit: int = STATEMENTS) -> None:
        self.model = Model()
        self.memory = ServerMemory((), limit)


steps = st.one_of(
    st.builds(parse, st.sampled_from(NAMES), st.sampled_from(TEXTS)),
    st.builds(lambda name: bind(name) + execute(), st.sampled_from(NAMES)),
    st.builds(describe, st.sampled_from(NAMES)),
    st.builds(close, st.sampled_from(NAMES)),
)
# Within one pipeline the answers to what is before are known only as far as an error, which
# takes along what is behind it.
pipelines = st.one_of(
    st.lists(steps, max_size=6).map(lambda messages: b"".join(messages) + SYNC),
    st.sampled_from(("text", "DEALLOCATE a", "DEALLOCATE ALL", "DEALLOCATE nobody")).map(query),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), pipelines), max_size=25),
    st.integers(1, 4),
)
def test_each_client_is_answered_as_by_a_server_of_its_own(
    turns: list[tuple[int, int, bytes]], limit: int
):
    texts = Texts()
    clients = [Client(texts) for _ in range(3)]
    connections = [Connection(limit) for _ in range(2)]
    for who, where, data in turns:
        client = clients[who]
        assert client.send(data, connections[where]) == client.own.answer(data)
        assert client.at is None
    for client in clients:
        client.scanner.close(0.0)
        assert len(client.sink.begun) == len(client.sink.ended)
        assert all(one.outcome is not Outcome.PENDING for one in client.sink.ended)
    for connection in connections:
        assert connection.model.most <= limit + 3


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from(("a", "b")), st.sampled_from(TEXTS)), max_size=4),
        max_size=6,
    )
)
def test_pipelines_sent_at_once_are_answered_in_their_order(segments: list[list[tuple[str, str]]]):
    client, connection = Client(Texts()), Connection()
    data = b"".join(
        b"".join(close(name) + parse(name, text) + bind(name) + execute() for name, text in segment)
        + SYNC
        for segment in segments
    )
    assert client.send(data, connection) == client.own.answer(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_cut_anywhere_the_answers_are_the_same(data: st.DataObject):
    sent = (
        parse("a", "one") + bind("a") + execute() + parse("", "two") + bind("") + execute() + SYNC
        + bind("a") + execute() + describe("a") + close("a") + SYNC + query("text")
        + bind("b") + execute() + SYNC + parse("b", "one") + bind("b") + execute() + SYNC
    )  # fmt: skip
    client, connection = Client(Texts()), Connection()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    got = b""
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        got += client.send(sent[start:end], connection)
    assert got == client.own.answer(sent)


def test_a_text_is_parsed_once_for_all_clients():
    texts, connection = Texts(), Connection()
    clients = [Client(texts) for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(parse(f"s{number}", "one") + SYNC, connection)
    assert list(connection.model.statements.values()) == [b"one"]


def test_a_plan_that_the_server_calls_outdated_is_made_again_everywhere():
    texts, here, there = Texts(), Connection(), Connection()
    client = Client(texts)
    run = bind("s") + execute() + SYNC
    client.send(parse("s", "one") + SYNC, here)
    for connection in (here, there):
        client.send(run, connection)
        connection.model.outdated = {b"one"}
    assert b"0A000" in client.send(run, here)
    for connection in (here, there):
        assert client.send(run, connection).startswith(message(b"2"))


def test_an_error_in_a_statement_of_ours_stands_in_its_place():
    """The text does not parse any more where it is brought: a table is gone, say."""
    texts, here, there = Texts(), Connection(), Connection()
    client = Client(texts)
    client.send(parse("s", "one") + SYNC, here)
    there.model.refused = {b"one"}
    answers = client.send(parse("t", "two") + bind("s") + execute() + bind("t") + SYNC, there)
    assert answers.startswith(message(b"1") + b"E")
    assert answers.endswith(message(b"Z", b"I"))
    assert answers.count(message(b"Z", b"I")) == 1
    (failed,) = [one for one in client.sink.ended if one.outcome is Outcome.FAILED]
    assert (failed.text, failed.code) == (b"one", "42601")
    there.model.refused = set()
    assert client.send(bind("s") + execute() + SYNC, there).startswith(message(b"2"))


def test_a_pinned_client_keeps_its_connection_and_what_others_prepared_is_closed():
    texts, connection = Texts(), Connection()
    first, second = Client(texts), Client(texts)
    first.send(parse("s", "one") + SYNC, connection)
    second.send(query("SET x"), connection)
    assert second.at is connection
    assert second.pins == ["setting"]
    assert connection.model.statements == {}


def test_a_pinned_client_that_discards_all_shares_again():
    connection = Connection()
    client = Client(Texts())
    client.send(parse("s", "one") + SYNC, connection)
    client.send(query("SET x"), connection)
    assert client.is_at(connection)
    client.send(query("DISCARD ALL"), connection)
    assert client.is_at(None)
    assert client.resets == 1
    # Its statements are gone, as on a server of its own.
    client.own.answer(parse("s", "one") + SYNC + query("DISCARD ALL"))
    data = bind("s") + execute() + SYNC
    assert client.send(data, connection) == client.own.answer(data)
    client.send(query("SET y"), connection)
    assert client.pins == ["setting", "setting"]


def test_what_is_sent_behind_a_discard_in_a_pipeline_stays_its_clients():
    connection = Connection()
    client = Client(Texts())
    client.send(query("SET x") + query("DISCARD ALL") + query("SET y"), connection)
    assert client.is_at(connection)
    assert (client.resets, client.pins) == (0, ["setting"])
    client.send(query("SET z") + query("DISCARD ALL") + query("text"), connection)
    assert client.is_at(None)
    assert client.resets == 1


def test_a_discard_that_fails_or_is_another_one_frees_nobody():
    connection = Connection()
    client = Client(Texts())
    client.send(query("SET x"), connection)
    connection.model.refused = {b"DISCARD ALL"}
    client.send(query("DISCARD ALL"), connection)
    client.send(query("DEALLOCATE ALL"), connection)
    assert client.is_at(connection)
    assert client.resets == 0


def test_a_statement_too_long_to_keep_runs_where_it_was_prepared():
    connection = Connection()
    client = Client(Texts(), text=16)
    text = "x" * 3000
    data = parse("s", text) + bind("s") + execute() + SYNC
    assert client.send(data, connection) == client.own.answer(data)
    assert client.at is connection
    assert client.pins == ["unseen"]
    data = bind("s") + execute() + SYNC
    assert client.send(data, connection) == client.own.answer(data)
