# The types with which this module is compiled; it runs without them too.
cimport cython
from proxy.gateway.ends cimport Turns
from proxy.gateway.lease cimport Connection, Loan
from proxy.gateway.pool cimport Pool, Ticket
from proxy.gateway.relay cimport Relay
from proxy.metrics.metrics cimport Metrics
from proxy.patience cimport Patience

cdef class Shared:
    cdef public Pool pool
    cdef public object texts, welcomes
    cdef public long long generation
    cdef public Py_ssize_t sessions
    cdef dict _keys
    cdef Patience _patience

    cpdef Patience patience(self)

cdef class SessionTurns(Turns):
    cdef object _welcome, _lender, _wish, _key, _context, _opening
    cdef Patience _patience
    cdef Shared _shared
    cdef long long _generation
    cdef Metrics _metrics
    cdef Relay _relay
    cdef Connection _connection
    cdef Ticket _ticket
    cdef double _since
    cdef bint _has_place

    @cython.locals(shared=Shared, connection=Connection, ticket=Ticket)
    cpdef bint begin(self) except -1
    cdef bint _use(self, Ticket ticket) except -1
    cdef _have(self, Connection connection)
    @cython.locals(loan=Loan, relay=Relay)
    cdef _hold(self, Connection connection)
    @cython.locals(connection=Connection)
    cpdef end(self, double now)
    @cython.locals(loan=Loan, pool=Pool)
    cdef _give(self, Connection connection, double now)
    cdef _waited(self)
    cdef _withdraw(self)
    cpdef give_up(self)
