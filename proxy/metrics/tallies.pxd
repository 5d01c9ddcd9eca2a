# The types with which this module is compiled; it runs without them too.
cimport cython

cdef class Histogram:
    cdef public tuple edges
    cdef double[::1] _cells, _bounds
    cdef Py_ssize_t _last

    @cython.locals(index=Py_ssize_t)
    cpdef observe(self, double value)
