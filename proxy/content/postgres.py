"""Statements at a PostgreSQL source, through the proxy, with asyncpg.

Values go by the extended protocol's Bind, with the types that the server says its
parameters have. Nothing in here puts a value into a text.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, Self

import asyncpg

from proxy.content.answers import Answer, Bounds, Budget, Column, StepFailed, unique
from proxy.content.entrance import LOGIN_SECONDS, Door, Visit
from proxy.content.sqltext import SqlText

_CHUNK: Final = 100
"""Rows asked for at once: few enough that a wide row is noticed before memory is."""

# SQLSTATE (manual, Appendix A): the transaction was rolled back, and may succeed now.
_AGAIN: Final = frozenset({"40001", "40P01", "55P03"})
# Nobody was logged in yet: whatever comes of it, nothing was changed.
_LOGIN_AGAIN: Final = frozenset({"53300", "57P03", "57P01", "08001", "08004", "08006", "58000"})
_CLOSE_SECONDS: Final = 2.0
# What asyncpg raises of its own; the second of a connection that has told a fatal error, until
# it is closed.
_DRIVER_ERRORS: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)


class PostgresSession:
    """One connection. Made by ``open``."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, door: Door, visit: Visit, source: str) -> Self:
        """Log in. Raises StepFailed."""
        try:
            connection = await asyncpg.connect(
                host=door.host,
                port=door.port,
                user=visit.workspace,
                password=visit.token.text,
                database=source,
                ssl=door.tls or False,
                timeout=LOGIN_SECONDS,
                statement_cache_size=0,
                server_settings={"application_name": visit.name},
            )
        except asyncpg.PostgresError as error:
            raise StepFailed(
                str(error.args[0]),
                error.sqlstate or "",
                had_no_effect=True,
                is_transient=error.sqlstate in _LOGIN_AGAIN,
            ) from None
        except (TimeoutError, OSError, *_DRIVER_ERRORS, ssl.SSLError):
            raise StepFailed(
                "the proxy cannot be reached", "login", had_no_effect=True, is_transient=True
            ) from None
        return cls(connection)

    @property
    def is_usable(self) -> bool:
        """See ``Session``."""
        return not self._connection.is_closed()

    @property
    def connection(self) -> Any:
        """The driver's own, for COPY."""
        return self._connection

    async def run(self, text: SqlText, values: Sequence[Any], bounds: Bounds) -> Answer:
        """See ``Session``."""
        with translated():
            prepared = await self._connection.prepare(text.text)
            types = [parameter.name for parameter in prepared.get_parameters()]
            arguments = [
                adapted(value, kind, name)
                for value, kind, name in zip(values, types, text.names, strict=True)
            ]
            attributes = prepared.get_attributes()
            if not attributes:
                await prepared.fetch(*arguments)
                return Answer(count=_changed(prepared.get_statusmsg()))
            return await self._rows(prepared, arguments, attributes, bounds)

    async def _rows(
        self, prepared: Any, arguments: list[Any], attributes: Sequence[Any], bounds: Bounds
    ) -> Answer:
        names = unique([attribute.name for attribute in attributes])
        columns = tuple(
            Column(name, attribute.type.name)
            for name, attribute in zip(names, attributes, strict=True)
        )
        budget = Budget(bounds)
        is_cut = False
        # The portal of a cursor lives in a transaction; a result that is too large rolls
        # back what made it.
        async with self._connection.transaction():
            cursor = await prepared.cursor(*arguments)
            while not is_cut and (chunk := await cursor.fetch(_CHUNK)):
                for record in chunk:
                    if not budget.takes(tuple(record)):
                        is_cut = True
                        break
        return Answer(columns, tuple(budget.rows), len(budget.rows), is_cut)

    async def close(self) -> None:
        """See ``Session``."""
        with suppress(OSError, asyncpg.PostgresError, *_DRIVER_ERRORS, TimeoutError):
            await self._connection.close(timeout=_CLOSE_SECONDS)


class translated:  # noqa: N801 - reads as a verb: "with translated():"
    """Turns asyncpg's errors into StepFailed."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.PostgresError):
            code = error.sqlstate or ""
            # A statement that the server refuses is rolled back; one whose connection is
            # lost (class 08, 57P0x from the proxy) may have been committed.
            is_lost = code.startswith(("08", "57P"))
            raise StepFailed(
                str(error.args[0]),
                code,
                had_no_effect=not is_lost,
                is_transient=code in _AGAIN or is_lost,
            ) from None
        if isinstance(error, (*_DRIVER_ERRORS, OSError)):
            if isinstance(error, asyncpg.DataError):
                raise StepFailed(
                    "a value cannot be sent as its parameter's type", "22000", had_no_effect=True
                ) from None
            raise StepFailed("the connection was lost", "08006", is_transient=True) from None


def _changed(tag: str) -> int:
    """The count at the end of a command tag, ``INSERT 0 5``; 0 where it has none."""
    last = tag.rsplit(" ", 1)[-1]
    return int(last) if last.isascii() and last.isdigit() else 0


# --- values --------------------------------------------------------------------------


def _to_moment(value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime):
        raise ValueError
    return found


def _aware(value: Any) -> datetime:
    found = _to_moment(value)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _naive(value: Any) -> datetime:
    found = _to_moment(value)
    return found if found.tzinfo is None else found.astimezone(UTC).replace(tzinfo=None)


def _day(value: Any) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    return value.date() if isinstance(value, datetime) else _of(date)(value)


def _clock(value: Any) -> time:
    return time.fromisoformat(value) if isinstance(value, str) else _of(time)(value)


def _of(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError
        return value

    return check


def _whole(value: Any) -> int:
    found = int(value)
    if not isinstance(value, str) and found != value:
        raise ValueError
    return found


def _truth(value: Any) -> bool:
    # MySQL's booleans come as 0 and 1.
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, list, dict)):
        raise ValueError
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_ADAPTERS: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _whole),
    **dict.fromkeys(("float4", "float8"), float),
    "numeric": lambda value: Decimal(str(value)),
    "bool": _truth,
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "unknown"), _text),
    "timestamptz": _aware,
    "timestamp": _naive,
    "date": _day,
    "time": _clock,
    **dict.fromkeys(("json", "jsonb"), _json),
}


def adapted(value: Any, kind: str, name: str) -> Any:
    """A value as the driver wants it for a parameter of a type. Raises StepFailed."""
    if value is None or kind not in _ADAPTERS:
        return value
    try:
        return _ADAPTERS[kind](value)
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        raise StepFailed(
            f"the value of :{name} cannot be sent as {kind}", "22000", had_no_effect=True
        ) from None
