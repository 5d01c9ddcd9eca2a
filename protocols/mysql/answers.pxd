# The types with which answers.py is compiled; it runs without them too.
cimport cython

cdef Py_ssize_t _COLUMN_LIMIT, _AFFECTED_LIMIT, _ERROR_LIMIT
cdef int _PROGRESS

cpdef renumber(bytearray fresh, Py_ssize_t at, int sequence)
@cython.locals(number=int, sqlstate=bytes)
cpdef tuple error_in(bytes data, Py_ssize_t at, Py_ssize_t total)
@cython.locals(columns=Py_ssize_t)
cpdef Py_ssize_t column_count(int first, bytes data, Py_ssize_t at, Py_ssize_t total) except -1
@cython.locals(size=Py_ssize_t)
cpdef Py_ssize_t affected_rows(bytes data, Py_ssize_t at, Py_ssize_t stop) except -1
cpdef Py_ssize_t status_at(bytes data, Py_ssize_t at, Py_ssize_t stop) except -1
@cython.locals(size=Py_ssize_t, first=int)
cdef Py_ssize_t _integer_size(bytes data, Py_ssize_t at, Py_ssize_t stop) except -1
