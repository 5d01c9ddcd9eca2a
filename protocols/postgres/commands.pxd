# The types with which commands.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.prepared cimport Prepared, PreparedStatements
from protocols.statements cimport Statement, StatementSink

cdef int _QUERY, _FUNCTION, _PARSE, _BIND, _EXECUTE, _DESCRIBE, _CLOSE_STATEMENT, _CLOSE_PORTAL
cdef Py_ssize_t _NAME_LIMIT, _NAME_LENGTH

cdef class Commands:
    cdef StatementSink _sink
    cdef Ledger _ledger
    cdef PreparedStatements _statements
    cdef Py_ssize_t _text_limit, _values_limit
    cdef Statement _last_sent
    cdef Py_ssize_t _bind_bytes

    cdef _skip(self, Statement statement, refusal, double now)
    cdef _object(self, int code, bytes name, Prepared prepared)
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
