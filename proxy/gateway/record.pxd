# The types with which this module is compiled; it runs without them too.

cdef class MeteredRecorder:
    cdef readonly object begin
    cdef object _count, _metrics, _record, _recorder

    cpdef end(self, statement)
