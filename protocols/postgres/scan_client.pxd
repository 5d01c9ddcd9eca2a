# The types with which scan_client.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.commands cimport Commands
from protocols.postgres.ledger cimport Ledger

cdef int _SYNC, _COPY_END, _MAYBE
cdef Py_ssize_t _NAME_LIMIT, _OPEN_TEXT_LIMIT

cdef class ClientScan(Commands):
    cdef Py_ssize_t _message_limit, _outstanding_limit
    cdef bint _goodbye
    cdef object _held
    cdef Py_ssize_t _held_need, _pass, _drop, _replaced

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
