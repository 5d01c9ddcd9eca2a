# The types with which scan_server.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.outcomes cimport Outcomes
from protocols.postgres.records cimport Records

cdef int _QUERY, _FUNCTION, _PARSE, _BIND, _EXECUTE, _DESCRIBE
cdef int _CLOSE_STATEMENT, _CLOSE_PORTAL, _MAYBE
cdef Py_ssize_t _LOOK_LIMIT

cdef class ServerScan(Outcomes):
    cdef Py_ssize_t _message_limit
    cdef bytes _held
    cdef Py_ssize_t _pass, _drop

    cpdef bint is_between(self) except -1
    cpdef Py_ssize_t remaining(self)
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, rows=Py_ssize_t,
                   count=Py_ssize_t, remaining=Py_ssize_t, may_have_rows=bint, code=int,
                   ledger=Ledger, records=Records)
    cpdef bytes read(self, bytes data, double now)
    @cython.locals(ledger=Ledger)
    cdef bint _skip_maybes(self) except -1
    cdef bint _is_read(self, int code)
    @cython.locals(ledger=Ledger, head=int, entry=Expected)
    cdef _take_server(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
