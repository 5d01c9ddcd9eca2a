# The types with which this module is compiled; it runs without them too.
cimport cython

cdef class Journal:
    cdef object _map
    cdef unsigned char[::1] _view
    cdef Py_ssize_t _segment_size, _segments
    cdef long long _epoch
    cdef public dict unsettled
    cdef public long long cursor, limit

    @cython.locals(place="long long", end="long long", stored=Py_ssize_t)
    cpdef begin(self, owner, long long session, long long number, double time, bytes text, Py_ssize_t length)
    cpdef settle(self, owner)
    @cython.locals(unsettled=dict, view="unsigned char[::1]")
    cpdef settle_all(self, list owners)
