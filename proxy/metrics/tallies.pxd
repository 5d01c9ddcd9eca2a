# The types with which this module is compiled; it runs without them too.

cdef class Histogram:
    cdef public tuple edges
    cdef list _cells

    cpdef observe(self, double value)
