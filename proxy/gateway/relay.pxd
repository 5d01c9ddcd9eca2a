# The types with which this module is compiled; it runs without them too.
cimport cython
from protocols.scanner cimport Scanner
from proxy.audit.pressure cimport Pressure
from proxy.gateway.ends cimport Ends
from proxy.gateway.plain cimport PlainTransport, Side

cdef int _SOURCE_FULL, _CROWDED, _WAITING

cdef class ClientSide(Side):
    cdef Relay _relay

cdef class SourceSide(Side):
    cdef public Relay relay
    cdef public object on_stir

cdef class Relay(Ends):
    cdef public double active
    cdef Pressure _congestion
    cdef bytes _early
    cdef int _held
    cdef bint _is_waiting

    @cython.locals(now=double)
    cpdef from_client(self, bytes data)
    @cython.locals(need=int)
    cdef bytes _begin_turn(self, bytes data)
    cdef bint _has_turn(self, bytes data) except -1
    cpdef take_turn(self, source, PlainTransport plain, bytes news)
    cpdef go_on(self)
    cdef _end_turn(self, double now)
    @cython.locals(size=Py_ssize_t, scanner=Scanner)
    cdef _send(self, bytes data, double now)
    @cython.locals(now=double, size=Py_ssize_t, scanner=Scanner)
    cpdef from_source(self, bytes data)
    cpdef hold(self, int cause)
    cpdef release(self, int cause)
