# The types with which scan_client.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.ledger cimport Expected, InPlace, Ledger
from protocols.statements cimport Statement, StatementSink

cdef int _COM_QUIT, _COM_INIT_DB, _COM_QUERY, _COM_FIELD_LIST, _COM_STATISTICS, _COM_PROCESS_KILL
cdef int _COM_PING, _COM_STMT_PREPARE, _COM_STMT_EXECUTE, _COM_STMT_SEND_LONG_DATA
cdef int _COM_STMT_CLOSE, _COM_STMT_RESET, _COM_SET_OPTION, _COM_STMT_FETCH, _COM_RESET_CONNECTION
cdef int _SIMPLE, _RESET, _TEXT, _QUERY, _EXECUTE, _PREPARE, _FETCH, _FIELDS
cdef int _FILE_COMING, _FILE_SENT, _NO_BACKSLASH_ESCAPES, _CURSOR_TYPES
cdef Py_ssize_t _FULL, _NAME_LIMIT, _OPEN_TEXT_LIMIT

cdef class ClientScan:
    cdef StatementSink _sink
    cdef object _kill, _prepared, _held, _last_prepared
    cdef Ledger _ledger
    cdef bint _is_mariadb, _local_infile, _is_continued, _is_dropping, _is_reading
    cdef bint _goodbye, _renumbers
    cdef bytearray _fresh
    cdef Py_ssize_t _text_limit, _message_limit, _outstanding_limit
    cdef Py_ssize_t _held_need, _pass, _drop, _size
    cdef int _sequence
    cdef Expected _entry

    cdef _begin_command(self)
    cpdef bint has_said_goodbye(self)
    cpdef bint is_between(self)
    cpdef int next_sequence(self)
    @cython.locals(ledger=Ledger)
    cpdef bint is_crowded(self)
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, need=Py_ssize_t,
                   sequence=int, is_dropped=bint, ledger=Ledger, entry=Expected,
                   fresh=bytearray)
    cpdef bytes read(self, bytes data, double now)
    cdef _hold(self, bytes data, Py_ssize_t at, Py_ssize_t need)
    @cython.locals(entry=Expected, statement=Statement)
    cdef _grow(self, Py_ssize_t length)
    @cython.locals(ledger=Ledger, statement=Statement)
    cdef _take_file(self, Py_ssize_t length)
    cdef _renumber(self, Py_ssize_t at, int sequence)
    @cython.locals(fixed=Py_ssize_t)
    cdef Py_ssize_t _needed(self, int code, Py_ssize_t length) except -1
    @cython.locals(ledger=Ledger, entry=Expected)
    cdef bint _take(self, int code, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    cdef _replace(self, Expected entry, InPlace answer)
    cdef bint _judge(self, Expected entry, Statement statement) except -1
    @cython.locals(entry=Expected)
    cdef bint _begin(self, int code, Statement statement, Py_ssize_t length, Py_ssize_t weight) except -1
    @cython.locals(statement=Statement)
    cdef bint _take_other(self, int code, bytes text, kind, Py_ssize_t length, double now) except -1
    @cython.locals(statement=Statement, entry=Expected, has_escapes=bint)
    cdef bint _take_query(self, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    cdef _refuse_kill(self, Expected entry)
    cdef _carry_out(self, Expected entry, number, bint only_statement)
    @cython.locals(statement=Statement, entry=Expected)
    cdef bint _take_prepare(self, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    cdef _find(self, number)
    cdef _take_close(self, number)
    @cython.locals(statement=Statement, entry=Expected, kind=int)
    cdef bint _take_execute(self, int code, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1

cdef bytes _part(bytes data, bytearray fresh, Py_ssize_t start, Py_ssize_t stop)
