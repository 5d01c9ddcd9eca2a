"""Hostile MySQL clients that have a token: within their session, and across sessions."""

from __future__ import annotations

import json
import struct
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostile.mysql.conftest import MysqlStage
from tests.hostile.mysql.raw import (
    FULL,
    PING,
    QUIT,
    MysqlClient,
    close_statement,
    execute,
    long_data,
    message,
    number_of,
    packet,
    prepare,
    query,
    refused,
    text,
)
from tests.hostile.stage import text_of
from tests.servers.proxy import Record
from tests.servers.waiting import wait_until

COM_PING = b"\x0e"
HANDSHAKE_ERROR = 1043
NOT_RELAYED = 1235


def statements(events: list[Record]) -> list[tuple[str, str]]:
    """Every statement that was recorded, and its outcome."""
    return [(text_of(event), event["unmapped"]["outcome"]) for event in events if text_of(event)]


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


# --- commands that are not for clients -----------------------------------------------

REFUSED = {
    "COM_SLEEP": b"\x00",
    "COM_CREATE_DB": b"\x05evil",
    "COM_DROP_DB": b"\x06fakedb",
    "COM_REFRESH": b"\x07\xff",
    "COM_SHUTDOWN": b"\x08\x00",
    "COM_PROCESS_INFO": b"\x0a",
    "COM_CONNECT": b"\x0b",
    "COM_DEBUG": b"\x0d",
    "COM_TIME": b"\x0f",
    "COM_DELAYED_INSERT": b"\x10",
    "COM_CHANGE_USER": b"\x11root\0\0fakedb\0\x2d\0mysql_native_password\0",
    "COM_BINLOG_DUMP": b"\x12" + struct.pack("<IHI", 4, 0, 99) + b"mysql-bin.000001",
    "COM_TABLE_DUMP": b"\x13\x05mysql\x04user",
    "COM_CONNECT_OUT": b"\x14",
    "COM_REGISTER_SLAVE": b"\x15" + bytes(17),
    "COM_DAEMON": b"\x1d",
    "COM_BINLOG_DUMP_GTID": b"\x1e" + bytes(22),
    "COM_CLONE": b"\x20",
    "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM": b"\x21",
    "COM_STMT_BULK_EXECUTE": b"\xfa" + bytes(6),
    "COM_MULTI": b"\xfe" + b"\x09\0\0\0\x03SELECT 1",
    "command 0x22": b"\x22SELECT 'unknown'",
    "command 0x7f": b"\x7f",
    "command 0xff": b"\xff",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_command_not_for_clients_is_refused_in_place_and_recorded(
    stage: MysqlStage, marker: str, name: str
):
    with stage.log_in("alpha", "orders") as client:
        error = client.error(message(REFUSED[name]))
        assert (number_of(error), error.code) == (NOT_RELAYED, "42000")
        assert client.value("SELECT 'usable'") == "usable"
    # Not a byte of it went up.
    assert stage.last.commands == [COM_PING, b"\x03SELECT 'usable'"]
    assert statements(stage.events_since(marker)) == [
        (name, "refused"),
        ("SELECT 'usable'", "succeeded"),
    ]


def test_every_other_command_number_is_refused(stage: MysqlStage):
    known = {0x01, 0x02, 0x03, 0x04, 0x09, 0x0C, 0x0E, *range(0x16, 0x1D), 0x1F}
    with stage.log_in("alpha", "orders") as client:
        for code in set(range(256)) - known:
            assert number_of(client.error(message(bytes((code,)) + b"x"))) == NOT_RELAYED, code
    assert set(stage.last.commands) == {COM_PING}


def test_the_option_of_a_session_is_the_servers_to_change(stage: MysqlStage):
    with stage.log_in("alpha", "orders") as client:
        assert client.ask(message(b"\x1b\0\0"))[0][0] == 0
        assert client.value("SELECT 1") == "1"
    assert stage.last.commands[0] == b"\x1b\0\0"


def test_what_stands_behind_quit_is_never_sent(stage: MysqlStage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(query("SELECT 'before'") + QUIT + query("SELECT 'behind'") + message(b"\x08"))
        assert client.answer()[2] == text(b"before")
        assert client.read_to_end() == b""
    wait_until(stage.last.is_over.is_set, what="the session's end at the server")
    assert stage.last.commands == [b"\x03SELECT 'before'", b"\x01"]
    assert statements(stage.events_since(marker)) == [("SELECT 'before'", "succeeded")]


# --- where the bytes are cut -----------------------------------------------------------

CUT = {
    "query": query("SELECT 'cut'"),
    "refused": message(REFUSED["COM_CHANGE_USER"]),
    "kill": message(b"\x0c" + struct.pack("<I", 0x7FFFFFFF)),
    "database": message(b"\x02fakedb"),
    "execute": execute(99),
    "ping": PING,
}


@pytest.mark.parametrize("name", CUT)
def test_a_command_may_be_cut_anywhere(stage: MysqlStage, marker: str, name: str):
    data = CUT[name]
    with stage.log_in("alpha", "orders") as client:
        whole = client.ask(data)
        sent = stage.last.commands[:]
        for cut in range(1, len(data)):
            client.send(data[:cut])
            client.send(data[cut:])
            assert client.answer() == whole
        for one in data:
            client.send(bytes((one,)))
        assert client.answer() == whole
    assert stage.last.commands == sent * (len(data) + 1)
    told = statements(stage.events_since(marker))
    assert len(told) in (0, len(data) + 1)
    assert len(set(told)) <= 1


def test_a_query_that_does_not_come_whole_is_neither_sent_nor_recorded(
    stage: MysqlStage, marker: str
):
    data = query("SELECT 'not whole'")
    for cut in range(1, len(data)):
        with stage.log_in("alpha", "orders") as client:
            client.send(data[:cut])
        peer = stage.last
        wait_until(peer.is_over.is_set, what="the session's end at the server")
        assert peer.commands == []
        assert b"not whole" not in peer.received
    assert "not whole" not in json.dumps(stage.events_since(marker))


# --- broken packets ---------------------------------------------------------------------

BROKEN = {
    "a first number of 1": packet(1, b"\x03SELECT 'broken'"),
    "a first number of 255": packet(255, b"\x03SELECT 'broken'"),
    "an empty command": packet(0, b""),
    "a query's length that is the largest": b"\xfe\xff\xff\x05\x03SELECT 'broken'",
    "a short COM_STMT_EXECUTE": message(b"\x17\0\0\0\0\0"),
    "a short COM_STMT_SEND_LONG_DATA": message(b"\x18\0\0\0\0\0"),
    "a short COM_STMT_CLOSE": message(b"\x19\0\0\0"),
    "a long COM_STMT_CLOSE": message(b"\x19\0\0\0\0\0"),
    "a short COM_STMT_RESET": message(b"\x1a"),
    "a short COM_STMT_FETCH": message(b"\x1c\0\0\0\0"),
    "a short COM_PROCESS_KILL": message(b"\x0c\1"),
    "a long COM_PROCESS_KILL": message(b"\x0c" + bytes(8)),
    "a long COM_PING": message(b"\x0e\x03SELECT 'broken'"),
    "a long COM_QUIT": message(b"\x01x"),
    "a long COM_STATISTICS": message(b"\x09x"),
    "a long COM_RESET_CONNECTION": message(b"\x1fx"),
    "a short COM_SET_OPTION": message(b"\x1b\0"),
    "a name too long": message(b"\x02" + b"d" * 2000),
    "a table too long": message(b"\x04" + b"t" * 70_000),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_packet_ends_the_session_and_is_never_sent(
    stage: MysqlStage, marker: str, name: str
):
    with stage.log_in("alpha", "orders") as client:
        client.send(BROKEN[name])
        # The number behind that of a command's first packet, or of none.
        header = client.read(4)
        assert header[3] in (0, 1)
        error = refused(client.read(int.from_bytes(header[:3], "little")))
        assert number_of(error) == HANDSHAKE_ERROR
        assert error.text.startswith("protocol violation: ")
        assert client.read_to_end() == b""
    wait_until(stage.last.is_over.is_set, what="the session's end at the server")
    assert stage.last.commands == []
    assert statements(stage.events_since(marker)) == []


# --- statements of several packets --------------------------------------------------------


def test_nothing_in_a_continuation_is_a_command_of_its_own(stage: MysqlStage, marker: str):
    # The second packet looks like COM_QUIT, COM_SHUTDOWN, a KILL.
    for behind in (b"\x01", b"\x08\x00", b"\x03KILL 1"):
        sql = b"SELECT 'long" + b" " * (FULL - 13) + behind
        with stage.log_in("alpha", "orders") as client:
            client.send(message(b"\x03" + sql))
            assert len(client.answer(sequence=2)) == 4
            assert client.value("SELECT 'usable'") == "usable"
        assert stage.last.commands == [b"\x03" + sql, b"\x03SELECT 'usable'"]
        events = stage.events_since(marker)
        marker = stage.mark()
        assert [outcome for _, outcome in statements(events)] == ["succeeded"] * 2
        assert any(str(len(sql)) in json.dumps(event) for event in events)


def test_a_kill_in_front_of_a_continuation_is_refused_to_its_end(stage: MysqlStage):
    with stage.log_in("alpha", "orders") as client:
        sql = b"KILL 1" + b" " * FULL
        client.send(message(b"\x03" + sql))
        (answer,) = client.answer(sequence=2)
        assert number_of(refused(answer)) == 1227
        assert client.value("SELECT 'usable'") == "usable"
    assert stage.last.commands == [COM_PING, b"\x03SELECT 'usable'"]


@pytest.mark.parametrize("sequence", [0, 2, 255])
def test_a_continuation_out_of_order_ends_the_session(stage: MysqlStage, sequence: int):
    with stage.log_in("alpha", "orders") as client:
        # Not the newest at the end: what may still run is stopped by a login of its own.
        session = stage.last
        client.send(packet(0, b"\x03" + b" " * (FULL - 1)))
        client.send(packet(sequence, b"\x03SELECT 'hidden'"))
        client.sequence = 1
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    wait_until(session.is_over.is_set, what="the session's end at the server")
    assert session.commands == []
    assert b"hidden" not in session.received


# --- KILL -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["KILL {}", "KILL QUERY {}", "kill connection {}", "/**/KILL {}"])
def test_another_workspaces_session_cannot_be_killed(stage: MysqlStage, marker: str, form: str):
    assert stage.bystander is not None
    with stage.log_in("alpha", "orders") as client:
        for number in (stage.bystander.thread_id, 1, 2**32 - 1, 2**64 - 1, 0):
            sql = form.format(number)
            error = client.error(query(sql))
            assert (number_of(error), error.text) == (1094, "Unknown thread id")
        kill = message(b"\x0c" + struct.pack("<I", stage.bystander.thread_id))
        assert number_of(client.error(kill)) == 1094
    assert set(stage.last.commands) == {COM_PING}
    assert {outcome for _, outcome in statements(stage.events_since(marker))} == {"failed"}


HIDDEN_KILLS = (
    "KILL {0}; SELECT 1",
    "SELECT 1; KILL {0}",
    "SELECT 1;/* */KILL QUERY {0}",
    "/*!KILL*/ {0}",
    "/*!50000 KILL QUERY {0} */",
    "/*M! KILL {0} */",
    "KILL {0}+0",
    "BEGIN NOT ATOMIC KILL {0}; END",
    "KILL @x",
    "KILL HARD {0}",
    "KILL USER root",
    "KILL QUERY ID 5",
)


def test_a_hidden_kill_never_reaches_the_server(stage: MysqlStage):
    assert stage.bystander is not None
    number = stage.bystander.thread_id
    with stage.log_in("alpha", "orders") as client:
        for form in HIDDEN_KILLS:
            error = client.error(query(form.format(number)))
            assert number_of(error) in (1094, 1227), form
            assert number_of(client.error(prepare(form.format(number)))) == 1227, form
    assert set(stage.last.commands) == {COM_PING}


def test_a_session_may_kill_another_of_its_own_workspace(stage: MysqlStage):
    with stage.log_in("alpha", "orders") as victim, stage.log_in("alpha", "orders") as client:
        assert client.query(f"KILL {victim.thread_id}")[0][0] == 0
        victim.sequence = 0
        victim.refusal()
        assert client.value("SELECT 'still here'") == "still here"
    assert all(b"KILL" not in command for command in stage.last.commands)


# --- prepared statements -----------------------------------------------------------------


def test_statements_that_were_never_prepared_are_refused(stage: MysqlStage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        for number in (0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF):
            assert number_of(client.error(execute(number))) == 1243
            fetch = message(b"\x1c" + struct.pack("<II", number, 1))
            assert number_of(client.error(fetch)) == 1243
        assert client.value("SELECT 'usable'") == "usable"
    assert stage.last.commands == [COM_PING] * 10 + [b"\x03SELECT 'usable'"]
    assert [outcome for _, outcome in statements(stage.events_since(marker))] == [
        *["refused"] * 10,
        "succeeded",
    ]


def test_another_sessions_statement_is_not_known(stage: MysqlStage):
    with stage.log_in("alpha", "orders") as other, stage.log_in("alpha", "orders") as client:
        assert other.ask(prepare("DELETE FROM t"))[0][:5] == b"\0\1\0\0\0"
        assert number_of(client.error(execute(1))) == 1243
        assert other.ask(execute(1))[0][0] == 0


def test_a_closed_statement_does_not_run_again(stage: MysqlStage):
    with stage.log_in("alpha", "orders") as client:
        client.ask(prepare("DELETE FROM t"))
        client.send(close_statement(1))
        assert number_of(client.error(execute(1))) == 1243
        client.ask(prepare("DELETE FROM t"))
        client.ask(message(b"\x1f"))
        assert number_of(client.error(execute(2))) == 1243
    assert not any(command[0] == 0x17 for command in stage.last.commands)


def test_a_flood_of_prepared_statements_is_bounded(stage: MysqlStage):
    size = 60_000
    flood = prepare("SELECT '" + "x" * size + "'")
    before = memory(stage.proxy.pid)
    with stage.log_in("alpha", "orders") as client:
        kept = 0
        while client.ask(flood)[0][0] == 0:
            kept += 1
            assert kept <= 16 * 1024 * 1024 // size
        assert number_of(client.error(flood)) == 1461
        assert client.value("SELECT 'usable'") == "usable"
        # Closing makes room.
        client.send(close_statement(1))
        assert client.ask(flood)[0][0] == 0
        assert memory(stage.proxy.pid) - before < 64 * 1024 * 1024
    assert kept > 200


def test_a_flood_of_long_data_passes_and_fills_nothing(stage: MysqlStage):
    before = memory(stage.proxy.pid)
    piece = long_data(1, b"y" * 1_000_000)
    with stage.log_in("alpha", "orders") as client:
        client.ask(prepare("INSERT INTO t VALUES (?)"))
        stage.last.commands.clear()
        for _ in range(100):
            client.send(piece)
            client.send(long_data(77, b"never prepared"))
        assert client.ask(PING)[0][0] == 0
        assert memory(stage.proxy.pid) - before < 64 * 1024 * 1024
        assert len(stage.last.commands) == 201


def test_floods_of_commands_without_answers_leave_the_session_usable(stage: MysqlStage):
    with stage.log_in("alpha", "orders") as client:
        client.send(close_statement(5) * 20_000)
        assert client.value("SELECT 'usable'") == "usable"


# --- pipelines --------------------------------------------------------------------------


def test_refusals_have_their_place_among_pipelined_answers(stage: MysqlStage, marker: str):
    rounds = 50
    with stage.log_in("alpha", "orders") as client:
        for number in range(rounds):
            client.send(
                query(f"SELECT 'n{number}'")
                + message(REFUSED["COM_SHUTDOWN"])
                + execute(9)
                + query(f"KILL {number}")
                + PING
            )
        for number in range(rounds):
            assert client.answer()[2] == text(f"n{number}".encode())
            for expected in (NOT_RELAYED, 1243, 1094):
                (answer,) = client.answer()
                assert number_of(refused(answer)) == expected
            assert client.answer()[0][0] == 0
    outcomes = [outcome for _, outcome in statements(stage.events_since(marker))]
    assert outcomes == ["succeeded", "refused", "refused", "failed"] * rounds


def test_a_violation_behind_a_pipeline_comes_after_no_lost_record(stage: MysqlStage, marker: str):
    with stage.log_in("alpha", "orders") as client:
        client.send(query("SELECT 'one'") + query("SELECT 'two'"))
        client.answer()
        client.answer()
        client.send(packet(3, b"\x03SELECT 'three'"))
        client.sequence = 1
        assert number_of(client.refusal()) == HANDSHAKE_ERROR
    assert statements(stage.events_since(marker)) == [
        ("SELECT 'one'", "succeeded"),
        ("SELECT 'two'", "succeeded"),
    ]


def test_many_sessions_keep_their_answers_apart(stage: MysqlStage):
    with ExitStack() as stack:
        clients: list[MysqlClient] = [
            stack.enter_context(stage.log_in("alpha", "orders")) for _ in range(20)
        ]
        for number, client in enumerate(clients):
            client.send(query(f"SELECT 'mine {number}'") * 10)
        for number, client in enumerate(clients):
            for _ in range(10):
                assert client.answer()[2] == text(f"mine {number}".encode())
