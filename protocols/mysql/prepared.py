"""The prepared statements of one session: the server's ids and the texts behind them.

Knows neither bytes on the wire nor the log. Bounded by count and by bytes of text;
statements whose COM_STMT_PREPARE is not answered yet count as if they will be made.
"""

from __future__ import annotations

from protocols.statements import Kind

UNKNOWN_TEXT = b"(a prepared statement that is not known)"
"""What is told of an execution whose statement is not known here."""


class Prepared:
    """A statement that the server has parsed, or is asked to.

    ``text`` is the sink's (a redacted secret stays redacted). ``long_bytes`` counts what
    COM_STMT_SEND_LONG_DATA has sent for its next execution, ``fetched`` the rows and bytes
    that its cursor has given so far.

    Where bound values are kept for the log: ``parameters`` is how many it has, -1 before the
    server has said so; ``types`` are those of its last execution, ``long`` has a bit for each
    parameter that COM_STMT_SEND_LONG_DATA has sent. ``has_values_shown``: the log has its
    whole text as it was sent, so its values are no secret's.
    """

    __slots__ = (
        "fetched",
        "has_values_shown",
        "kind",
        "long",
        "long_bytes",
        "parameters",
        "text",
        "text_length",
        "types",
    )

    def __init__(self, text: bytes, text_length: int, kind: Kind) -> None:
        self.text = text
        self.text_length = text_length
        self.kind = kind
        self.long_bytes = 0
        self.fetched = (0, 0)
        self.has_values_shown = False
        self.parameters = -1
        self.types = b""
        self.long = 0


class PreparedStatements:
    """By id, as the server has confirmed them; ``last`` is the newest one sent to it.

    ``last`` serves MariaDB's id -1, which names it before its answer is here
    (COM_STMT_EXECUTE in the MariaDB protocol documentation).
    """

    def __init__(self, count_limit: int, bytes_limit: int) -> None:
        self.last: Prepared | None = None
        self._by_id: dict[int, Prepared] = {}
        self._count_limit = count_limit
        self._bytes_limit = bytes_limit
        self._coming = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def has_room(self, size: int) -> bool:
        """Whether one more statement of so many bytes may be prepared."""
        return (
            len(self._by_id) + self._coming < self._count_limit
            and self._bytes + size <= self._bytes_limit
        )

    def send(self, prepared: Prepared) -> None:
        """The server is asked to make it."""
        self._coming += 1
        self._bytes += len(prepared.text)
        self.last = prepared

    def confirm(self, number: int, prepared: Prepared) -> None:
        """The server has made it under this id."""
        self._coming -= 1
        self.forget(number)
        self._by_id[number] = prepared

    def keep_types(self, prepared: Prepared, types: bytes) -> None:
        """It is executed with these; forgotten where there is no room for them."""
        more = len(types) - len(prepared.types)
        if self._bytes + more > self._bytes_limit:
            types, more = b"", -len(prepared.types)
        prepared.types = types
        self._bytes += more

    def fail(self, prepared: Prepared) -> None:
        """The server has not made it."""
        self._coming -= 1
        self._bytes -= len(prepared.text) + len(prepared.types)
        prepared.types = b""
        if self.last is prepared:
            self.last = None

    def find(self, number: int) -> Prepared | None:
        """The statement with this id."""
        return self._by_id.get(number)

    def forget(self, number: int) -> None:
        """The server has it no more."""
        prepared = self._by_id.pop(number, None)
        if prepared is not None:
            self._bytes -= len(prepared.text) + len(prepared.types)
            prepared.types = b""

    def forget_last(self) -> None:
        """The server has the newest one no more."""
        last, self.last = self.last, None
        for number, prepared in self._by_id.items():
            if prepared is last:
                self.forget(number)
                return

    def forget_all(self) -> None:
        """COM_RESET_CONNECTION has succeeded."""
        for number in list(self._by_id):
            self.forget(number)
