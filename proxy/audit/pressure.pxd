# The types with which this module is compiled; it runs without them too.

cdef class Pressure:
    cdef public bint is_failed, is_awake
    cdef public str failure
    cdef public long long pending_bytes, unwritten_bytes, high_mark, low_mark, maximum_queued
    cdef public long long lost, lost_in_outage
    cdef public object wake
    cdef object _soon
    cdef list _waiting

    cpdef long long queued_bytes(self)
    cpdef bint is_congested(self)
