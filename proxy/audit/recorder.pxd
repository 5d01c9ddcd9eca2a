# The types with which this module is compiled; it runs without them too.
cimport cython
from proxy.audit.encode cimport SessionFragments
from proxy.audit.journal cimport Journal
from proxy.audit.pressure cimport Pressure
from protocols.statements cimport Statement, StatementSink

cdef long long _RECORD_COST

cdef class SessionRecorder(StatementSink):
    cdef public object context
    cdef public SessionFragments fragments
    cdef public double wall_base
    cdef public long long session, number, place
    cdef Journal _journal
    cdef Pressure _queue
    cdef object _append, _record_closing, _fingerprint_key
    cdef bint _is_closed

    @cython.locals(queue=Pressure, number="long long")
    cpdef begin(self, Statement statement)
    @cython.locals(queue=Pressure, cost="long long")
    cpdef end(self, Statement statement)
