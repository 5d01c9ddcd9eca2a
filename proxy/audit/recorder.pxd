# The types with which this module is compiled; it runs without them too.
from proxy.audit.journal cimport Journal
from protocols.statements cimport Statement

cdef class SessionRecorder:
    cdef public object context, fragments, session
    cdef public double wall_base
    cdef public long long number, place
    cdef Journal _journal
    cdef object _queue, _append, _fingerprint_key
    cdef bint _is_closed

    cpdef begin(self, Statement statement)
    cpdef end(self, Statement statement)
