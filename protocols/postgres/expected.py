"""The kinds of expected answers, each number named once. See ``ledger``.

They are the message codes of the client's messages ("Message Formats" in the
PostgreSQL manual) and marks of ours; and the transaction's state in ReadyForQuery,
for which the client waits at the end of each. Kept apart from the compiled files, which
copy them into C integers.
"""

from __future__ import annotations

NOTHING = 0
QUERY = 0x51  # 'Q': ends with ReadyForQuery
FUNCTION = 0x46  # 'F': ends with ReadyForQuery
SYNC = 0x53  # 'S': answered by ReadyForQuery
PARSE = 0x50  # 'P': by ParseComplete
BIND = 0x42  # 'B': by BindComplete
EXECUTE = 0x45  # 'E': by CommandComplete, EmptyQueryResponse or PortalSuspended
DESCRIBE = 0x44  # 'D': by RowDescription or NoData
CLOSE_STATEMENT = 0x43  # 'C': by CloseComplete
CLOSE_PORTAL = 0x63  # the same for a portal
COPY_END = 0x64  # CopyDone or CopyFail went by: answered by nothing
MAYBE = 0x3F  # a Sync that the server may have swallowed in copy-in
# Ours, not the client's, and so are their answers: see ``shared_client``.
OUR_PARSE = 0x01
OUR_CLOSE = 0x02
OUR_QUERY = 0x03

IDLE = 0x49  # 'I': no transaction is open
IN_TRANSACTION = 0x54  # 'T'
FAILED_TRANSACTION = 0x45  # 'E': until ROLLBACK, nothing else is run
