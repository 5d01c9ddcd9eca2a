# The types with which scan.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.statements cimport Statement

cdef int _NOTHING, _QUERY, _FUNCTION, _SYNC, _PARSE, _BIND, _EXECUTE, _DESCRIBE, _CLOSE_STATEMENT, _CLOSE_PORTAL, _COPY_END, _MAYBE
cdef Py_ssize_t _NAME_LIMIT, _NAME_LENGTH, _LOOK_LIMIT, _TAG_LIMIT, _OPEN_TEXT_LIMIT

cdef class Prepared:
    cdef public object name
    cdef public object text
    cdef public Py_ssize_t text_length
    cdef public object kind
    cdef public Py_ssize_t segment
    cdef public bint is_confirmed
    cdef public Py_ssize_t holders
    cdef public object pending

cdef class PostgresScanner:
    cdef object _sink
    cdef Ledger _ledger
    cdef Py_ssize_t _text_limit, _message_limit, _prepared_limit
    cdef Py_ssize_t _prepared_bytes_limit, _outstanding_limit
    cdef public int status
    cdef public dict settings
    cdef bint _goodbye, _is_fatal
    cdef object _held
    cdef Py_ssize_t _held_need, _pass, _drop
    cdef Statement _last_sent
    cdef Py_ssize_t _bind_bytes
    cdef bytes _server_held
    cdef Py_ssize_t _server_pass, _server_drop, _rows, _bytes
    cdef bint _is_copy_in, _copying_in
    cdef dict _statements, _portals, _coming_statements, _coming_portals
    cdef Py_ssize_t _coming_count, _prepared_bytes

    @cython.locals(ledger=Ledger)
    cdef bint _is_crowded(self) except -1

    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, need=Py_ssize_t,
                   copy_bytes=Py_ssize_t, code=int)
    cpdef bytes from_client(self, bytes data, double now)
    cdef _count_copied(self, Py_ssize_t size)
    cdef _hold(self, bytes data, Py_ssize_t at, Py_ssize_t need)
    @cython.locals(limit=Py_ssize_t)
    cdef Py_ssize_t _needed(self, int code, Py_ssize_t total) except -1
    @cython.locals(ledger=Ledger)
    cdef _take_client(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    cdef _skip(self, Statement statement, refusal, double now)
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t)
    cdef _take_query(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(need=Py_ssize_t, stop=Py_ssize_t, name_end=Py_ssize_t, start=Py_ssize_t,
                   end=Py_ssize_t, text_length=Py_ssize_t, prepared=Prepared, ledger=Ledger,
                   entry=Expected)
    cdef _take_parse(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(named=Py_ssize_t)
    cdef bint _has_too_many_statements(self, Py_ssize_t size) except -1
    @cython.locals(stop=Py_ssize_t, portal_end=Py_ssize_t, name_end=Py_ssize_t,
                   prepared=Prepared, ledger=Ledger, coming=Expected, entry=Expected)
    cdef _take_bind(self, bytes data, Py_ssize_t at, Py_ssize_t total)
    @cython.locals(end=Py_ssize_t, prepared=Prepared, ledger=Ledger, coming=Expected)
    cdef _take_execute(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(target=int, ledger=Ledger, entry=Expected)
    cdef _take_describe_or_close(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total)
    cdef _take_function(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)

    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, rows=Py_ssize_t,
                   count=Py_ssize_t, remaining=Py_ssize_t, may_have_rows=bint, code=int,
                   ledger=Ledger)
    cpdef bytes from_server(self, bytes data, double now)
    @cython.locals(ledger=Ledger)
    cdef bint _skip_maybes(self) except -1
    cdef bint _is_read(self, int code)
    @cython.locals(ledger=Ledger, head=int, entry=Expected)
    cdef _take_server(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(entry=Expected, ledger=Ledger)
    cdef _take_complete(self, int head, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(prepared=Prepared)
    cdef _end_execute(self, Expected entry, outcome, double now)
    cdef _end(self, Statement statement, outcome, double now)
    cdef _end_refused(self, Expected entry, double now)
    @cython.locals(entry=Expected)
    cdef _take_ready(self, int status, double now)
    @cython.locals(stop=Py_ssize_t, ledger=Ledger, head=int, entry=Expected)
    cdef _take_error(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(entry=Expected, first=Expected, ledger=Ledger, prepared=Prepared)
    cdef _fail(self, str sqlstate, double now)
    @cython.locals(code=int)
    cdef _drop_coming(self, Expected entry)
    @cython.locals(prepared=Prepared)
    cdef _confirm_parse(self, Expected entry, double now)
    @cython.locals(prepared=Prepared)
    cdef _confirm_bind(self, Expected entry, double now)
    cdef _retain(self, Prepared prepared)
    cdef _release(self, Prepared prepared)
    @cython.locals(prepared=Prepared)
    cdef _forget(self, name, double now)
    cdef _follow_deallocate(self, bytes tag, statement, double now)
    @cython.locals(stop=Py_ssize_t, name_end=Py_ssize_t)
    cdef _follow(self, bytes data, Py_ssize_t at, Py_ssize_t total)
    cpdef close(self, double now)
