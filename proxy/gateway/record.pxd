# The types with which this module is compiled; it runs without them too.
from protocols.statements cimport Statement, StatementSink
from proxy.audit.recorder cimport SessionRecorder
from proxy.metrics.metrics cimport Metrics

cdef class MeteredRecorder(StatementSink):
    cdef Metrics _metrics
    cdef SessionRecorder _recorder
    cdef object _deadline

    cpdef begin(self, Statement statement)
    cpdef end(self, Statement statement)
    cpdef why_stopped(self)

cdef class JudgedRecorder(MeteredRecorder):
    cdef object _verdict

    cpdef begin(self, Statement statement)

cdef class LimitedRecorder(JudgedRecorder):
    cdef object _meter
