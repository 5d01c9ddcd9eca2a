"""The client's commands, each number named once, and which of them are refused.

Numbers as in MySQL's ``include/my_command.h`` ("Command Phase" in the MySQL source
documentation) and MariaDB's ``include/mysql_com.h``. Must never know what a command
does to a session: the scanner does.
"""

from __future__ import annotations

COM_QUIT = 0x01
COM_INIT_DB = 0x02
COM_QUERY = 0x03
COM_FIELD_LIST = 0x04
COM_STATISTICS = 0x09
COM_PROCESS_KILL = 0x0C
COM_PING = 0x0E
COM_STMT_PREPARE = 0x16
COM_STMT_EXECUTE = 0x17
COM_STMT_SEND_LONG_DATA = 0x18
COM_STMT_CLOSE = 0x19
COM_STMT_RESET = 0x1A
COM_SET_OPTION = 0x1B
COM_STMT_FETCH = 0x1C
COM_RESET_CONNECTION = 0x1F

QUIT = bytes((1, 0, 0, 0, COM_QUIT))
"""A client's goodbye, as a packet."""

REFUSED = {
    0x00: b"COM_SLEEP",
    0x05: b"COM_CREATE_DB",
    0x06: b"COM_DROP_DB",
    0x07: b"COM_REFRESH",
    0x08: b"COM_SHUTDOWN",
    0x0A: b"COM_PROCESS_INFO",
    0x0B: b"COM_CONNECT",
    0x0D: b"COM_DEBUG",
    0x0F: b"COM_TIME",
    0x10: b"COM_DELAYED_INSERT",
    0x11: b"COM_CHANGE_USER",
    0x12: b"COM_BINLOG_DUMP",
    0x13: b"COM_TABLE_DUMP",
    0x14: b"COM_CONNECT_OUT",
    0x15: b"COM_REGISTER_SLAVE",
    0x1D: b"COM_DAEMON",
    0x1E: b"COM_BINLOG_DUMP_GTID",
    0x20: b"COM_CLONE",
    0x21: b"COM_SUBSCRIBE_GROUP_REPLICATION_STREAM",
    0xFA: b"COM_STMT_BULK_EXECUTE",
    0xFE: b"COM_MULTI",
}
"""Commands that are known and never relayed: another user, replication, the server's own
administration (which SQL can do where the account may), and what was never negotiated."""


def name_of(code: int) -> bytes:
    """What a refused command is called in a record."""
    return REFUSED.get(code) or b"command 0x%02x" % code
