"""What goes upstream in the place of a message that was refused.

Each draws a syntax error from every PostgreSQL, also inside a failed transaction (the
text is parsed before the transaction's state is looked at), and stores nothing. That
error is then rewritten into the refusal.
"""

from __future__ import annotations

from protocols.errors import Reason, Refusal


class ServerError(Refusal):
    """An error that the server itself would have given, had it the client's names."""

    def __init__(self, public: str, code: str) -> None:
        super().__init__(Reason.UNSUPPORTED, public, code=code)


def no_such_statement(name: bytes) -> ServerError:
    """As PostgreSQL words it (FetchPreparedStatement, exec_bind_message)."""
    if not name:
        return ServerError("unnamed prepared statement does not exist", "26000")
    return ServerError(
        f'prepared statement "{name.decode("utf-8", "replace")}" does not exist', "26000"
    )


def statement_exists(name: bytes) -> ServerError:
    """As PostgreSQL words it (StorePreparedStatement)."""
    return ServerError(
        f'prepared statement "{name.decode("utf-8", "replace")}" already exists', "42P05"
    )


_TEXT = b"accode proxy refused this statement\0"
_NAME = b"accode_proxy_refused\0"


def _message(code: bytes, body: bytes) -> bytes:
    return code + (4 + len(body)).to_bytes(4, "big") + body


QUERY = _message(b"Q", _TEXT)
"""For what is answered with ReadyForQuery."""

PARSE = _message(b"P", _NAME + _TEXT + b"\0\0")
"""For a message of the extended protocol."""

UNNAMED_PARSE = _message(b"P", b"\0" + _TEXT + b"\0\0")
"""For a Parse without a name: it makes away with the unnamed statement before it, as any
Parse does that fails."""
