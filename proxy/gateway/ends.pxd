# The types with which this module is compiled; it runs without them too.
from protocols.scanner cimport Scanner
from proxy.gateway.plain cimport PlainTransport
from proxy.metrics.metrics cimport Metrics

cdef class Turns:
    cpdef bint begin(self) except -1
    cpdef end(self, double now)
    cpdef give_up(self)

cdef class Ends:
    cdef public Scanner scanner
    cdef public object finished, reason, on_broken, keep
    cdef public long long bytes_from_client, bytes_from_source
    cdef public Turns turns
    cdef Metrics _metrics
    cdef PlainTransport _plain_client, _plain_source
    cdef object _client, _source, _cutting, _timer, __weakref__
    cdef bytes _unsent
    cdef str _word
    cdef bint _is_closing, _is_draining, _is_leaving, _is_client_full
    cdef Py_ssize_t _cut_remaining

    cpdef client_is_full(self)
    cpdef client_has_room(self)
