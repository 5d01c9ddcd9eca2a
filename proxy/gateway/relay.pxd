# The types with which this module is compiled; it runs without them too.
cimport cython
from protocols.scanner cimport Scanner
from proxy.audit.pressure cimport Pressure
from proxy.gateway.plain cimport PlainTransport, Side
from proxy.metrics.metrics cimport Metrics

cdef class ClientSide(Side):
    cdef Relay _relay

cdef class SourceSide(Side):
    cdef Relay _relay

cdef class Relay:
    cdef public Scanner scanner
    cdef public object client_side, source_side, finished, reason, on_broken, keep
    cdef public double active
    cdef public long long bytes_from_client, bytes_from_source
    cdef Pressure _congestion
    cdef Metrics _metrics
    cdef PlainTransport _plain_client, _plain_source
    cdef object _client, _source, _cutting, _timer, __weakref__
    cdef bytes _early
    cdef str _word
    cdef int _held
    cdef bint _is_closing, _is_draining, _is_leaving
    cdef Py_ssize_t _cut_remaining

    @cython.locals(now=double, size=Py_ssize_t, scanner=Scanner)
    cpdef from_client(self, bytes data)
    @cython.locals(now=double, size=Py_ssize_t, scanner=Scanner)
    cpdef from_source(self, bytes data)
    cpdef client_is_full(self)
    cpdef client_has_room(self)
    cpdef hold(self, int cause)
    cpdef release(self, int cause)
