"""What the proxy sets on a data source's session before its client is welcomed.

Only where a policy judges statements: a text must mean to the server what it means to its
reader. Modes that change neither quotes nor the grammar stay as the server has them.
"""

from __future__ import annotations

from protocols.errors import PeerViolation, Reason, Refusal
from protocols.interface import SessionRules
from protocols.mysql.framing import Packets, Stream
from protocols.mysql.messages import ERR, OK

_COM_QUERY = b"\x03"

# Modes that change how a text is read: what quotes, where a string ends, what is a function,
# another product's grammar (ORACLE: MariaDB's PL/SQL).
_MODES = (
    "ANSI",
    "ANSI_QUOTES",
    "DB2",
    "IGNORE_SPACE",
    "MAXDB",
    "MSSQL",
    "NO_BACKSLASH_ESCAPES",
    "ORACLE",
    "PIPES_AS_CONCAT",
    "POSTGRESQL",
)

# Collations by number, as SHOW COLLATION lists them. In every other set of more than one byte
# a letter may end with the byte of a backslash or a quote (gbk, big5, sjis, cp932, gb18030),
# or ASCII is written otherwise (ucs2, utf16, utf32).
_CHARACTER_SETS: tuple[tuple[str, frozenset[int]], ...] = (
    ("utf8mb4", frozenset({45, 46, *range(224, 256), *range(256, 324)})),
    ("utf8", frozenset({33, 76, 83, *range(192, 216), 223})),
    ("latin1", frozenset({5, 8, 15, 31, 47, 48, 49, 94})),
    ("ascii", frozenset({11, 65})),
    ("binary", frozenset({63})),
)


def character_set(collation: int) -> str:
    """The client's character set by the collation it logged in with; 0: the server's choice.

    Raises Refusal for one in which a text has two readings.
    """
    for name, collations in _CHARACTER_SETS:
        if collation & 0xFF in collations:
            return name
    raise Refusal(
        Reason.PARAMETER_REFUSED,
        "refused by policy: the character set must be utf8mb4 where statements are judged",
        f"the client's collation is {collation}",
    )


def statements(rules: SessionRules, collation: int) -> tuple[bytes, ...]:
    """What to run, in order. Raises Refusal."""
    modes = "CONCAT(',', @@SESSION.sql_mode, ',')"
    for mode in _MODES:
        modes = f"REPLACE({modes}, ',{mode},', ',')"
    found = [
        f"SET SESSION sql_mode = TRIM(BOTH ',' FROM {modes})",
        f"SET SESSION character_set_client = {character_set(collation)}",
    ]
    if rules.is_read_only:
        found.append("SET SESSION TRANSACTION READ ONLY")
    return tuple(text.encode("ascii") for text in found)


async def pin(channel: Stream, rules: SessionRules, collation: int) -> None:
    """Run them on a session that has just logged in. Raises Refusal where one is not taken."""
    for text in statements(rules, collation):
        packets = Packets(channel)
        packets.send(_COM_QUERY + text)
        payload = await packets.receive()
        if payload[:1] == bytes((ERR,)):
            raise Refusal(
                Reason.SOURCE_REFUSED,
                "the data source does not take the settings that its policy needs",
                f"the server refused {text.split(b'=', 1)[0].decode()}",
            )
        if payload[:1] != bytes((OK,)):
            raise PeerViolation("the server answered SET out of step")
