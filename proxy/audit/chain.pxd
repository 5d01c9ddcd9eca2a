# The types with which this module is compiled; it runs without them too.

cdef class Chain:
    cdef object _key
    cdef str _key_id
    cdef public str file, instance, prev
    cdef public long long sequence, signed

    cpdef bytes link(self, bytes line)
