# The types with which bounded.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.scan cimport PostgresScanner
from protocols.scanner cimport Scanner

cdef int _DATA_ROW, _COPY_DATA, _COPY_DONE, _COMMAND_COMPLETE, _EMPTY_QUERY, _ERROR, _READY
cdef int _SUSPENDED, _BIND_COMPLETE, _FUNCTION_RESULT
cdef int _FLOWING, _STOPPING, _DONE, _OVER
cdef Py_ssize_t _LOOK_LIMIT, _SUSPENDED_LIMIT

cdef class BoundedScanner(Scanner):
    cdef PostgresScanner _scanner
    cdef object _meter, _share, _refusal
    cdef bytes _held
    cdef Py_ssize_t _pass, _drop
    cdef long long _rows, _size
    cdef bint _is_fresh
    cdef int _state
    cdef long long _completed
    cdef dict _suspended

    cpdef bytes from_client(self, bytes data, double now)
    cpdef bytes from_server(self, bytes data, double now)
    @cython.locals(p="const unsigned char *", size=Py_ssize_t, at=Py_ssize_t, start=Py_ssize_t,
                   left=Py_ssize_t, length=Py_ssize_t, total=Py_ssize_t, code=int, row_cap="long long",
                   size_cap="long long")
    cdef _read(self, bytes data, double now, list sent)
    cdef bytes _take(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total)
    cdef bytes _take_cut(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total)
    cdef _begin_rows(self)
    cdef bytes _take_first_row(self, Py_ssize_t total)
    cdef _end(self)
    cdef _ready(self, bytes status)
    cdef _cut(self, Py_ssize_t total)
    cdef bytes _said(self)
    cdef bytes _give_up(self)
    cdef _look_if_releasable(self)
    cpdef int needs_server(self, bytes data) except -2
    cpdef bytes attach(self, memory)
    cpdef detach(self)
    cpdef close(self, double now)
