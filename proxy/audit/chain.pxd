# The types with which this module is compiled; it runs without them too.
cimport cython

cdef class Chain:
    cdef object _key
    cdef str _key_id
    cdef public str file, instance, prev
    cdef public long long sequence, signed

    @cython.locals(data=bytes)
    cpdef bytes link(self, str line)
