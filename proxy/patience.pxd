# The types with which this module is compiled; it runs without them too.
cdef class Patience:
    cdef readonly double seconds
    cdef dict _running
    cdef object _timer

    cpdef begin(self, waiting)
    cpdef end(self, waiting)
