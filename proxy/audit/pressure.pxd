# The types with which this module is compiled; it runs without them too.

cdef class Pressure:
    cdef public bint is_failed, is_awake
    cdef public str failure
    cdef public long long pending_bytes, unwritten_bytes, high_mark, maximum_queued

    cpdef long long queued_bytes(self)
    cpdef bint is_congested(self)
