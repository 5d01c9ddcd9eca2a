# The types with which this module is compiled; it runs without them too.
cimport cython
from protocols.statements cimport Statement

cdef int _SESSION, _STATEMENT
cdef Py_ssize_t _HEAD_SIZE, _TEXT_LIMIT

cdef class Journal:
    cdef object _map
    cdef unsigned char *_base
    cdef unsigned char[::1] _view
    cdef Py_ssize_t _segment_size, _segments
    cdef long long _epoch
    cdef public dict unsettled
    cdef public long long cursor, limit

    @cython.locals(place="long long", end="long long", stored=Py_ssize_t)
    cpdef long long begin(self, owner, long long session, long long number, double time, bytes text, Py_ssize_t length) except -1
    @cython.locals(place="long long", stored=Py_ssize_t)
    cdef long long _append(self, owner, int kind, long long session, long long number, double time, bytes text, Py_ssize_t length) except -1
    cpdef settle(self, owner)
    @cython.locals(unsettled=dict, view="unsigned char[::1]", statement=Statement, place="long long")
    cpdef settle_all(self, list owners)
