# The types with which command.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.ledger cimport Expected, InPlace, Ledger
from protocols.statements cimport Statement, StatementSink

cdef int _QUERY, _PREPARE

cdef class Command:
    cdef StatementSink _sink
    cdef Ledger _ledger
    cdef readonly Expected entry

    cdef clear(self)
    cdef expect(self, int code)
    @cython.locals(entry=Expected)
    cdef bint begin(self, int code, Statement statement, Py_ssize_t length, Py_ssize_t weight) except -1
    @cython.locals(entry=Expected)
    cdef replace(self, InPlace answer)
    @cython.locals(entry=Expected, statement=Statement)
    cdef grow(self, Py_ssize_t length, int sequence, bint is_whole)
