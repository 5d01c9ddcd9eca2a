# The types with which packets.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.answer cimport Answer
from protocols.mysql.ledger cimport Expected, Ledger
from protocols.mysql.limited cimport AnswerLimit

cdef int _TEXT, _QUERY, _EXECUTE, _PREPARE, _FETCH, _FIELDS, _FILE_COMING
cdef int _FIRST, _DEFINITIONS, _DEFINED, _ROWS, _PARAMETERS_DEFINED, _COLUMNS_DEFINED
cdef int _FIELD_LIST, _AFTER_FILE, _CURSOR_EXISTS
cdef Py_ssize_t _FULL, _LOOK_LIMIT

cdef class AnswerPackets:
    cdef object _prepared
    cdef Ledger _ledger
    cdef Answer _answer
    cdef AnswerLimit _limit
    cdef bint _deprecates_eof
    cdef Py_ssize_t _message_limit, _columns
    cdef int _behind
    cdef object _number
    cdef public bint is_binary
    cdef public Py_ssize_t definitions

    @cython.locals(limit=Py_ssize_t)
    cdef Py_ssize_t needed(self, int first, Py_ssize_t total) except -1
    @cython.locals(ledger=Ledger, entry=Expected, answer=Answer, limit=AnswerLimit, is_row=bint,
                   state=int)
    cdef bytes take(self, int first, bytes data, bytearray fresh, Py_ssize_t at, Py_ssize_t total, int sequence, double now)
    @cython.locals(code=int, answer=Answer)
    cdef _take_first(self, Expected entry, int first, bytes data, Py_ssize_t at, Py_ssize_t total, int sequence, double now)
    @cython.locals(ledger=Ledger)
    cdef _take_file(self, Expected entry, bytes data, Py_ssize_t at, Py_ssize_t total, int sequence)
    @cython.locals(answer=Answer)
    cdef defined(self, double now)
    cdef _begin_columns(self, double now)
    @cython.locals(entry=Expected)
    cdef _confirm(self, double now)
    @cython.locals(state=int, status=int)
    cdef _take_eof(self, Expected entry, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
