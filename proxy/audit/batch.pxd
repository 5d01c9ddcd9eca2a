# The types with which this module is compiled; it runs without them too.

cdef class Batch:
    cdef public str file
    cdef public list lines, placed, waiters
    cdef public long long size, records
    cdef public bint sync, is_written
    cdef public bytes head
    cdef public double oldest

    cpdef add(self, bytes line)
