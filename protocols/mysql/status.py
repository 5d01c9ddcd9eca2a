"""The server's status flags, in every OK and EOF ("SERVER_STATUS_flags_enum" in the MySQL
source documentation).

Kept apart from the compiled files, which copy them into C integers.
"""

from __future__ import annotations

IN_TRANS = 0x0001
AUTOCOMMIT = 0x0002
MORE_RESULTS = 0x0008
CURSOR_EXISTS = 0x0040
LAST_ROW_SENT = 0x0080
NO_BACKSLASH_ESCAPES = 0x0200
SESSION_STATE_CHANGED = 0x4000
