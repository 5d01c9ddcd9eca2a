# The types with which this module is compiled; it runs without them too.
from proxy.gateway.plain cimport PlainTransport
from proxy.gateway.relay cimport SourceSide
from proxy.metrics.metrics cimport Metrics

cdef class Loan:
    cdef public object key, memory, transport
    cdef public SourceSide side
    cdef public long long generation
    cdef public bint is_unclean
    cdef readonly PlainTransport plain
    cdef object _poll

    cpdef bint is_quiet(self) except -1

cdef class Connection:
    cdef public str id
    cdef public object wish, opened, state, are_stopped
    cdef public double expires
    cdef public int stops
    cdef public bint is_in_doubt
    cdef public Loan loan

    cpdef move(self, state, Metrics metrics)
    cpdef bint is_quiet(self) except -1
