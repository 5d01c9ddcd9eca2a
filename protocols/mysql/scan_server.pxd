# The types with which scan_server.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.ledger cimport Expected, InPlace, Ledger
from protocols.statements cimport Statement, StatementSink

cdef int _RESET, _TEXT, _QUERY, _EXECUTE, _PREPARE, _FETCH, _FIELDS
cdef int _NO_FILE, _FILE_COMING
cdef int _FIRST, _DEFINITIONS, _DEFINED, _ROWS, _PARAMETERS_DEFINED, _COLUMNS_DEFINED
cdef int _FIELD_LIST, _AFTER_FILE
cdef int _MORE_RESULTS, _CURSOR_EXISTS, _LAST_ROW_SENT, _PROGRESS, _NOT_OURS
cdef Py_ssize_t _FULL, _LOOK_LIMIT, _COLUMN_LIMIT, _AFFECTED_LIMIT, _ERROR_LIMIT

cdef class ServerScan:
    cdef StatementSink _sink
    cdef object _prepared
    cdef Ledger _ledger
    cdef bint _deprecates_eof, _renumbers
    cdef bytearray _fresh
    cdef Py_ssize_t _message_limit
    cdef bytes _held
    cdef Py_ssize_t _pass, _drop, _size, _rows, _affected, _bytes, _definitions, _columns
    cdef bint _is_continued, _is_untouched, _is_binary, _is_reading
    cdef int _state, _sequence, _behind, _sequence_before
    cdef object _number, _meter, _share, _cut
    cdef Py_ssize_t _base_rows, _base_bytes, _row_cap, _size_cap
    cdef int _cut_sequence
    cdef bint _is_over

    cpdef Py_ssize_t remaining(self)
    cpdef bint is_between(self)
    cpdef bint is_between_answers(self)
    @cython.locals(ledger=Ledger, entry=Expected)
    cpdef int next_sequence(self, int idle) except -1
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, rows=Py_ssize_t,
                   count=Py_ssize_t, remaining=Py_ssize_t, first=int, state=int, sequence=int,
                   is_binary=bint, is_limited=bint, fresh=bytearray)
    cpdef bytes read(self, bytes data, double now, int idle)
    cdef _renumber(self, Py_ssize_t at, int sequence)
    cdef _renew(self)
    cdef _begin_limited(self, Expected entry)
    cdef bint _is_beyond(self, Py_ssize_t rows, Py_ssize_t count, Py_ssize_t size, int sequence) except -1
    cdef bytes _behind_cut(self)
    @cython.locals(limit=Py_ssize_t)
    cdef Py_ssize_t _needed(self, int first, Py_ssize_t total) except -1
    @cython.locals(ledger=Ledger, entry=Expected, is_row=bint)
    cdef _take(self, int first, bytes data, Py_ssize_t at, Py_ssize_t total, int sequence, double now)
    @cython.locals(code=int)
    cdef _take_first(self, Expected entry, int first, bytes data, Py_ssize_t at, Py_ssize_t total, int sequence, double now)
    @cython.locals(columns=Py_ssize_t)
    cdef Py_ssize_t _column_count(self, int first, bytes data, Py_ssize_t at, Py_ssize_t total) except -1
    @cython.locals(ledger=Ledger)
    cdef _take_file(self, Expected entry, bytes data, Py_ssize_t at, Py_ssize_t total, int sequence)
    cdef _defined(self, double now)
    cdef _begin_columns(self, double now)
    @cython.locals(entry=Expected)
    cdef _confirm(self, double now)
    @cython.locals(state=int, status=int)
    cdef _take_eof(self, Expected entry, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(code=int, status=int, affected=Py_ssize_t, stop=Py_ssize_t, place=Py_ssize_t,
                   size=Py_ssize_t, ledger=Ledger)
    cdef _end_result(self, Expected entry, int first, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(answer=InPlace)
    cdef bytes _in_place(self, Expected entry, double now)
    @cython.locals(ledger=Ledger, is_fatal=bint)
    cdef _take_error(self, Expected entry, bytes data, Py_ssize_t at, Py_ssize_t total, int sequence, double now)
    cdef _take_unasked(self, int first, bytes data, Py_ssize_t at, Py_ssize_t total)
    @cython.locals(entry=Expected, statement=Statement)
    cdef _finish(self, outcome, str sqlstate, double now)

cdef bytes _part(bytes data, bytearray fresh, Py_ssize_t start, Py_ssize_t stop)
@cython.locals(number=int, sqlstate=bytes)
cdef tuple _error(bytes data, Py_ssize_t at, Py_ssize_t total)
@cython.locals(size=Py_ssize_t, first=int)
cdef Py_ssize_t _integer_size(bytes data, Py_ssize_t at, Py_ssize_t stop) except -1
cdef Py_ssize_t _integer(bytes data, Py_ssize_t at, Py_ssize_t size) except -1
