"""The kinds of expected answers, each number named once. See ``ledger``.

Kept apart from the compiled files, which copy them into C integers. What each looks
like is told under "Command Phase" in the MySQL source documentation.
"""

from __future__ import annotations

NOTHING = 0
SIMPLE = 1  # OK, EOF or ERR: COM_PING, COM_INIT_DB, COM_STMT_RESET, COM_SET_OPTION
RESET = 2  # the same, and on OK every prepared statement is gone: COM_RESET_CONNECTION
TEXT = 3  # one packet of text, or ERR: COM_STATISTICS
QUERY = 4  # OK, ERR, LOCAL INFILE or a text result set, and perhaps more of these
EXECUTE = 5  # the same with binary rows, and perhaps a cursor instead of rows
PREPARE = 6  # the statement's id, then definitions of parameters and columns
FETCH = 7  # binary rows of a cursor
FIELDS = 8  # column definitions up to an EOF: COM_FIELD_LIST

NO_FILE = 0
FILE_COMING = 1  # the client sends the file of LOAD DATA LOCAL
FILE_SENT = 2  # it has sent the empty packet that ends it

# Where in an answer the server is.
FIRST = 0  # before its first packet, or a further result's
DEFINITIONS = 1  # in definitions of columns or parameters, so many to go
DEFINED = 2  # at the EOF behind a result set's columns
ROWS = 3  # in rows, up to OK, EOF or ERR
PARAMETERS_DEFINED = 4  # at the EOF behind a prepared statement's parameters
COLUMNS_DEFINED = 5  # at the EOF behind its columns
FIELD_LIST = 6  # in definitions up to an EOF
AFTER_FILE = 7  # before the OK or ERR for a file that the client sent
