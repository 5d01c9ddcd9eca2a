# The types with which scan_server.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.answer cimport Answer
from protocols.mysql.ledger cimport Ledger
from protocols.mysql.limited cimport AnswerLimit
from protocols.mysql.packets cimport AnswerPackets

cdef int _NO_FILE, _DEFINITIONS, _ROWS
cdef Py_ssize_t _FULL

cdef class ServerScan:
    cdef Ledger _ledger
    cdef Answer _answer
    cdef AnswerPackets _packets
    cdef AnswerLimit _limit
    cdef bint _renumbers, _is_continued, _is_reading
    cdef Py_ssize_t _message_limit, _pass, _drop, _size
    cdef bytes _held
    cdef int _sequence, _sequence_before

    @cython.locals(limit=AnswerLimit)
    cpdef Py_ssize_t remaining(self)
    cpdef bint is_between(self)
    cpdef bint is_between_answers(self)
    @cython.locals(ledger=Ledger, limit=AnswerLimit)
    cpdef int next_sequence(self, int idle) except -1
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, copied=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, rows=Py_ssize_t,
                   count=Py_ssize_t, remaining=Py_ssize_t, first=int, state=int, sequence=int,
                   is_binary=bint, is_row=bint, fresh=bytearray, answer=Answer,
                   packets=AnswerPackets, limit=AnswerLimit)
    cpdef bytes read(self, bytes data, double now, int idle)

cdef bytes _part(bytes data, bytearray fresh, Py_ssize_t start, Py_ssize_t stop)
