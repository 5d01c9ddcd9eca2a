# The types with which this module is compiled; it runs without them too.
from proxy.metrics.tallies cimport Histogram

cdef class Metrics:
    cdef public object sessions, sessions_ended, logins, refusals, policy_refusals, credentials, tls, cancels
    cdef public object pool_closes, pool_pins
    cdef public long long pool_hits, pool_misses, pool_refusals
    cdef long long _pool_active, _pool_idle, _pool_resetting
    cdef public Histogram connect_seconds, pool_wait_seconds, setup_seconds, loop_lag_seconds
    cdef public object connects
    cdef public long long failovers, breakers_opened, breakers_open
    cdef public double loop_lag
    cdef public long long tasks
    cdef public long long bytes_from_client, bytes_from_source
    cdef public dict certificate_ends
    cdef public object weak_tls_end
    cdef public object read_audit, read_store_is_current, read_log_lines_lost
    cdef dict _statements, _durations, _places
    cdef object _kind, _outcome
    cdef Py_ssize_t _place
    cdef long long[::1] _counts
    cdef Histogram _duration

    cpdef statement(self, kind, outcome, double seconds)
    cpdef move_pooled(self, old, new)
    cdef _count_pooled(self, state, int count)
