# The types with which scan_client.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.command cimport Command
from protocols.mysql.dispatch cimport Dispatch
from protocols.mysql.ledger cimport Expected, Ledger
from protocols.statements cimport Statement

cdef int _FILE_COMING, _FILE_SENT
cdef Py_ssize_t _FULL, _OPEN_TEXT_LIMIT

cdef class ClientScan:
    cdef object _held
    cdef Ledger _ledger
    cdef Command _command
    cdef Dispatch _dispatch
    cdef bint _is_continued, _is_dropping, _is_reading, _renumbers
    cdef bytearray _fresh
    cdef Py_ssize_t _message_limit, _outstanding_limit
    cdef Py_ssize_t _held_need, _pass, _drop, _size
    cdef int _sequence

    cpdef bint has_said_goodbye(self)
    cpdef bint is_between(self)
    cpdef int next_sequence(self)
    @cython.locals(ledger=Ledger)
    cpdef bint is_crowded(self)
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, need=Py_ssize_t,
                   sequence=int, is_dropped=bint, ledger=Ledger, entry=Expected,
                   fresh=bytearray, command=Command, dispatch=Dispatch)
    cpdef bytes read(self, bytes data, double now)
    cdef _renumber(self, Py_ssize_t at, int sequence)
    cdef _hold(self, bytes data, Py_ssize_t at, Py_ssize_t need)
    cdef _grow(self, Py_ssize_t length)
    @cython.locals(ledger=Ledger, statement=Statement)
    cdef _take_file(self, Py_ssize_t length)

cdef bytes _part(bytes data, bytearray fresh, Py_ssize_t start, Py_ssize_t stop)
