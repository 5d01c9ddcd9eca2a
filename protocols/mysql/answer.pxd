# The types with which answer.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.ledger cimport Expected, InPlace, Ledger
from protocols.mysql.limited cimport AnswerLimit
from protocols.statements cimport Statement, StatementSink

cdef int _RESET, _QUERY, _EXECUTE, _FETCH, _NO_FILE, _FILE_COMING, _FIRST
cdef int _MORE_RESULTS, _CURSOR_EXISTS, _LAST_ROW_SENT, _NOT_OURS, _INTERRUPTED

cdef class Answer:
    cdef StatementSink _sink
    cdef object _prepared
    cdef Ledger _ledger
    cdef bint _deprecates_eof
    cdef Py_ssize_t _affected
    cdef AnswerLimit _limit
    cdef public bint is_untouched
    cdef public int state
    cdef public Py_ssize_t rows, size

    @cython.locals(code=int, status=int, affected=Py_ssize_t, stop=Py_ssize_t, place=Py_ssize_t,
                   ledger=Ledger, limit=AnswerLimit)
    cdef end_result(self, Expected entry, int first, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(answer=InPlace)
    cdef bytes replace(self, Expected entry, double now)
    @cython.locals(ledger=Ledger, is_fatal=bint)
    cdef bytes fail(self, Expected entry, bytes data, bytearray fresh, Py_ssize_t at, Py_ssize_t total, int sequence, double now)
    cdef end_session(self, int first, bytes data, Py_ssize_t at, Py_ssize_t total)
    @cython.locals(entry=Expected, statement=Statement, limit=AnswerLimit)
    cdef finish(self, outcome, str sqlstate, double now)

cdef bint _only_read(Expected entry, int status) except -1
