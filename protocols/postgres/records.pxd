# The types with which records.py is compiled; it runs without them too.
cimport cython
from protocols.statements cimport Statement, StatementSink

cdef class Records:
    cdef StatementSink _sink
    cdef public Py_ssize_t rows, size
    cdef Statement _last_run

    cdef why_stopped(self)
    cdef end(self, Statement statement, outcome, double now)
    cdef answer(self, Statement statement, outcome, double now)
    @cython.locals(statement=Statement)
    cdef fail_commit(self, str sqlstate, double now)
    @cython.locals(statement=Statement)
    cdef settle(self)
    @cython.locals(statement=Statement)
    cdef abandon(self)
    @cython.locals(text=bytes)
    cdef _fill(self, Statement statement, outcome, double now)
