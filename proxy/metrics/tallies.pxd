# The types with which this module is compiled; it runs without them too.
cimport cython

cdef class Histogram:
    cdef public tuple edges
    cdef list _cells

    @cython.locals(index=Py_ssize_t, edge=double)
    cpdef observe(self, double value)
