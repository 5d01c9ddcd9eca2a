"""Statements at real servers, with bound values of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.constants import FIELD_TYPE
from pymysql.protocol import MysqlPacket

from proxy.content.answers import Bounds, StepFailed
from proxy.content.entrance import Door, Entrance, TokenText, visit_name
from proxy.content.mysqlbinary import decoded, encoded
from proxy.content.postgres import adapted
from proxy.content.sessions import Sessions
from proxy.content.visits import visiting
from tests.content.town import Town

FEW = Bounds(rows=10)


@asynccontextmanager
async def sessions(town: Town) -> AsyncIterator[Sessions]:
    async with town.desk() as place:
        workspace = await place.store.workspace(town.workspace())
        async with visiting(
            place,
            Entrance.of(town.proxy.config),
            workspace,
            label="test",
            name=visit_name("test", "values", "1"),
            lifetime=timedelta(minutes=5),
        ) as opened:
            yield opened


async def bounced(opened: Sessions, source: str, cast: str, value: Any) -> Any:
    """What a server gives back of a value that it was sent."""
    statement = f"SELECT CAST(:v AS {cast}) AS v"
    answer = await opened.run(source, statement, {"v": value}, FEW)
    return answer.rows[0][0]


async def test_values_are_bound_at_mariadb(town: Town):
    async with sessions(town) as opened:
        for cast, value, back in (
            ("SIGNED", -(2**63), -(2**63)),
            ("UNSIGNED", 2**64 - 1, 2**64 - 1),
            ("SIGNED", True, 1),
            ("DOUBLE", 1.5e300, 1.5e300),
            ("DECIMAL(40,10)", Decimal("-123456789012345678901234567.0123456789"), None),
            ("DECIMAL(10,0)", Decimal("1E+3"), Decimal(1000)),
            ("CHAR", 'it\'s \\ "ünï" \U0001f426 :x ?', None),
            ("CHAR", "", ""),
            ("CHAR", "x" * 300, None),
            ("CHAR", "x" * 70_000, None),
            ("BINARY", b"\x00\xff'\\", None),
            ("DATE", date(2026, 5, 4), None),
            ("DATETIME(6)", datetime(2026, 5, 4, 12, 30, 15, 123456), None),  # noqa: DTZ001
            ("DATETIME", datetime(2026, 5, 4), None),  # noqa: DTZ001
            (
                "DATETIME",
                datetime(2026, 5, 4, 14, tzinfo=timezone(timedelta(hours=2))),
                datetime(2026, 5, 4, 12),  # noqa: DTZ001
            ),
            ("TIME(6)", timedelta(hours=-30, microseconds=1), None),
            ("TIME", timedelta(), None),
            ("CHAR", {"a": [1]}, '{"a": [1]}'),
        ):
            found = await bounced(opened, "shop", cast, value)
            assert found == (value if back is None else back), (cast, value)
        assert await bounced(opened, "shop", "CHAR", None) is None
        answer = await opened.run(
            "shop",
            "SELECT CAST(1 AS UNSIGNED) AS a, YEAR('2026-05-04') AS b, b'101' AS c, NULL AS a",
            {},
            FEW,
        )
        assert [column.name for column in answer.columns] == ["a", "b", "c", "a_2"]
        assert answer.rows[0][:2] == (1, 2026)


async def test_values_are_bound_at_postgresql(town: Town):
    async with sessions(town) as opened:
        for cast, value, back in (
            ("bigint", -(2**63), None),
            ("int", "12", 12),
            ("int", Decimal(12), 12),
            ("bool", 1, True),
            ("float8", Decimal("1.5"), 1.5),
            ("numeric", 1.25, Decimal("1.25")),
            ("text", 'it\'s \\ "ünï" \U0001f426 :x $1', None),
            ("text", 5, "5"),
            ("text", True, "true"),
            ("bytea", b"\x00\xff", None),
            ("date", "2026-05-04", date(2026, 5, 4)),
            ("date", datetime(2026, 5, 4, 12, tzinfo=UTC), date(2026, 5, 4)),
            ("timestamp", "2026-05-04T12:30:15", datetime(2026, 5, 4, 12, 30, 15)),  # noqa: DTZ001
            (
                "timestamptz",
                datetime(2026, 5, 4, 12),  # noqa: DTZ001
                datetime(2026, 5, 4, 12, tzinfo=UTC),
            ),
            ("time", "12:30", time(12, 30)),
            ("jsonb", {"a": 1}, '{"a": 1}'),
            ("uuid", "00000000-0000-0000-0000-00000000000a", None),
            ("int[]", [1, 2], None),
        ):
            found = await bounced(opened, "orders", cast, value)
            expected = value if back is None else back
            assert (str(found) if cast == "uuid" else found) == expected, (cast, value)
        assert await bounced(opened, "orders", "int", None) is None
        with pytest.raises(StepFailed, match="the value of :v cannot be sent as int4") as failed:
            await bounced(opened, "orders", "int", "x")
        assert failed.value.had_no_effect
        assert await bounced(opened, "orders", "int", 1) == 1


@pytest.mark.parametrize("source", ["orders", "shop"])
async def test_a_cut_result_leaves_room_for_the_next_statement(town: Town, source: str):
    many = {
        "orders": "SELECT generate_series(1, 1000) AS n",
        "shop": "SELECT seq AS n FROM numbers",
    }
    async with sessions(town) as opened:
        answer = await opened.run(source, many[source], {}, Bounds(rows=5, may_cut=True))
        assert (len(answer.rows), answer.is_cut, answer.count) == (5, True, 5)
        with pytest.raises(StepFailed, match="more than 5 rows"):
            await opened.run(source, many[source], {}, Bounds(rows=5))
        with pytest.raises(StepFailed, match="more than 200 bytes"):
            await opened.run(source, many[source], {}, Bounds(rows=500, bytes=200))
        assert (await opened.run(source, "SELECT 7 AS n", {}, FEW)).rows == ((7,),)


@pytest.mark.parametrize("source", ["orders", "shop"])
async def test_changes_are_counted_and_a_broken_statement_is_told(town: Town, source: str):
    async with sessions(town) as opened:
        table = f"counted_{source}"
        await opened.run(source, f"DROP TABLE IF EXISTS {table}", {}, FEW)
        await opened.run(source, f"CREATE TABLE {table} (id int)", {}, FEW)
        answer = await opened.run(
            source, f"INSERT INTO {table} VALUES (:a), (:b)", {"a": 1, "b": 2}, FEW
        )
        assert (answer.count, answer.rows) == (2, ())
        for statement in ("SELEKT 1", "SELECT 1; SELECT 2"):
            with pytest.raises(StepFailed):
                await opened.run(source, statement, {}, FEW)
        with pytest.raises(StepFailed, match="nothing is said of :b"):
            await opened.run(source, "SELECT :b", {"a": 1}, FEW)
        with pytest.raises(StepFailed, match="no source named nowhere"):
            await opened.run("nowhere", "SELECT 1", {}, FEW)


async def test_a_proxy_that_is_not_there_is_told_in_one_sentence(town: Town):
    async with town.desk() as place:
        workspace = await place.store.workspace(town.workspace())
        nowhere = Entrance({engine: Door("127.0.0.1", 1) for engine in ("postgresql", "mysql")})
        async with visiting(
            place, nowhere, workspace, label="x", name="x", lifetime=timedelta(minutes=1)
        ) as opened:
            for source in ("orders", "shop"):
                with pytest.raises(StepFailed, match="the proxy cannot be reached") as failed:
                    await opened.run(source, "SELECT 1", {}, FEW)
                assert failed.value.is_transient
                assert failed.value.had_no_effect


def test_a_token_does_not_show():
    assert "secret" not in repr(TokenText("secret"))


@pytest.mark.parametrize("name", ["nightly", "x" * 63])
def test_a_visits_name_fits_into_postgresqls(name: str):
    shown = visit_name("workflow", name, "0123456789abcdef")
    assert len(shown) <= 63
    assert shown.endswith(" run:0123456789abcdef")
    assert shown.startswith(f"workflow:{name[:20]}")


# --- the binary protocol, without a server -----------------------------------------------


class Field:
    def __init__(self, kind: int, charset: int = 45, flags: int = 0) -> None:
        self.type_code = kind
        self.charsetnr = charset
        self.flags = flags


def row(*values: bytes | None) -> MysqlPacket:
    """A binary row, its NULL bitmap made of the Nones."""
    bitmap = bytearray((len(values) + 9) // 8)
    for number, value in enumerate(values):
        if value is None:
            bitmap[(number + 2) // 8] |= 1 << (number + 2) % 8
    return MysqlPacket(b"\0" + bytes(bitmap) + b"".join(filter(None, values)), "utf8")


@pytest.mark.parametrize(
    ("field", "data", "value"),
    [
        (Field(FIELD_TYPE.DATE), b"\x00", "0000-00-00"),
        (Field(FIELD_TYPE.DATETIME), b"\x00", "0000-00-00 00:00:00"),
        (Field(FIELD_TYPE.DATE), b"\x04\xea\x07\x02\x1f", "2026-02-31"),
        (Field(FIELD_TYPE.TIME), b"\x00", timedelta()),
        (Field(FIELD_TYPE.LONGLONG, flags=32), b"\xff" * 8, 2**64 - 1),
        (Field(FIELD_TYPE.LONGLONG), b"\xff" * 8, -1),
        (Field(FIELD_TYPE.TINY), b"\xff", -1),
        (Field(FIELD_TYPE.BIT), b"\x02\x01\x00", 256),
        (Field(FIELD_TYPE.BLOB, charset=63), b"\x01\xff", b"\xff"),
        (Field(FIELD_TYPE.JSON, charset=63), b"\x02{}", "{}"),
        (Field(FIELD_TYPE.VAR_STRING), b"\x01\xff", "\ufffd"),
    ],
)
def test_odd_values_are_decoded(field: Field, data: bytes, value: Any):
    assert decoded(row(None, data), [Field(FIELD_TYPE.TINY), field]) == (None, value)


_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)


@given(st.lists(st.none() | _NUMBERS, max_size=20))
def test_what_is_encoded_is_decoded(values: list[Any]):
    data = encoded(values)
    kinds = {type(None): FIELD_TYPE.NULL, int: FIELD_TYPE.LONGLONG, float: FIELD_TYPE.DOUBLE}
    fields = [Field(kinds[type(value)]) for value in values]
    size = (len(values) + 7) // 8
    # A row's bitmap has two bits more, its types are told apart.
    bits = int.from_bytes(data[:size], "little") << 2
    bitmap = bits.to_bytes((len(values) + 9) // 8, "little")
    packet = MysqlPacket(b"\0" + bitmap + data[size + 1 + 2 * len(values) :], "utf8")
    assert list(decoded(packet, fields)) == values


def test_no_type_is_made_up_for_an_unknown_parameter():
    assert adapted([1], "point", "x") == [1]
    assert adapted(None, "int4", "x") is None
