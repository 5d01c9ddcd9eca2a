# The types with which limited.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.ledger cimport Expected

cdef int _FETCH

cdef class AnswerLimit:
    cdef object _meter, _share
    cdef Py_ssize_t _base_rows, _base_size, _row_cap, _size_cap
    cdef readonly object cut
    cdef readonly int cut_sequence
    cdef readonly bint is_over

    cdef renew(self, Py_ssize_t rows, Py_ssize_t size)
    cdef begin(self, Expected entry)
    cdef bint is_beyond(self, Py_ssize_t rows, Py_ssize_t size, Py_ssize_t more, int sequence) except -1
    cdef bytes behind_cut(self, bint is_answered)
    cdef end(self, Expected entry, Py_ssize_t rows, Py_ssize_t size)
