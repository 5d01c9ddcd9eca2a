# The types with which scan_client.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.prepared cimport Prepared, PreparedStatements
from protocols.statements cimport Statement, StatementSink

cdef int _QUERY, _FUNCTION, _SYNC, _PARSE, _BIND, _EXECUTE, _DESCRIBE
cdef int _CLOSE_STATEMENT, _CLOSE_PORTAL, _COPY_END, _MAYBE
cdef Py_ssize_t _NAME_LIMIT, _NAME_LENGTH, _OPEN_TEXT_LIMIT

cdef class ClientScan:
    cdef StatementSink _sink
    cdef Ledger _ledger
    cdef PreparedStatements _statements
    cdef Py_ssize_t _text_limit, _message_limit, _outstanding_limit, _values_limit
    cdef bint _goodbye
    cdef object _held
    cdef Py_ssize_t _held_need, _pass, _drop
    cdef Statement _last_sent
    cdef Py_ssize_t _bind_bytes

    cpdef bint is_between(self) except -1
    cpdef bint has_said_goodbye(self)
    @cython.locals(ledger=Ledger)
    cpdef bint is_crowded(self) except -1
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, need=Py_ssize_t,
                   copy_bytes=Py_ssize_t, code=int)
    cpdef bytes read(self, bytes data, double now)
    cdef _count_copied(self, Py_ssize_t size)
    cdef _hold(self, bytes data, Py_ssize_t at, Py_ssize_t need)
    @cython.locals(limit=Py_ssize_t)
    cdef Py_ssize_t _needed(self, int code, Py_ssize_t total) except -1
    @cython.locals(ledger=Ledger)
    cdef _take_client(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    cdef _skip(self, Statement statement, refusal, double now)
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, text=bytes, p="const char *")
    cdef _take_query(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(need=Py_ssize_t, stop=Py_ssize_t, name_end=Py_ssize_t, start=Py_ssize_t,
                   end=Py_ssize_t, text_length=Py_ssize_t, prepared=Prepared, ledger=Ledger,
                   entry=Expected)
    cdef _take_parse(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(stop=Py_ssize_t, portal_end=Py_ssize_t, name_end=Py_ssize_t,
                   prepared=Prepared, ledger=Ledger, entry=Expected)
    cdef _take_bind(self, bytes data, Py_ssize_t at, Py_ssize_t total)
    cdef _keep_values(self, Expected entry, Prepared prepared, bytes data, Py_ssize_t at, Py_ssize_t stop)
    @cython.locals(end=Py_ssize_t, prepared=Prepared, ledger=Ledger, coming=Expected)
    cdef _take_execute(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(target=int, ledger=Ledger, entry=Expected)
    cdef _take_describe_or_close(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total)
    cdef _take_function(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
