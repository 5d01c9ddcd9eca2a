# The types with which this module is compiled; it runs without them too.
cimport cython

@cython.freelist(64)
cdef class Idle:
    cdef public object key, connection
    cdef public double since, expires

    cdef _fill(self, key, connection, double since, double expires)

@cython.freelist(64)
cdef class Ticket:
    cdef public object key, wake
    cdef public bint is_granted
    cdef public Idle found

cdef class Pool:
    cdef object _settings
    cdef Py_ssize_t _maximum
    cdef public Py_ssize_t taken
    cdef object _is_alive, _close, _waiting
    cdef list _idle
    cdef bint _is_serving

    cpdef Ticket ask(self, key, wake, Py_ssize_t limit=*)
    @cython.locals(at=Py_ssize_t, idle=Idle)
    cpdef take(self, key)
    cpdef withdraw(self, Ticket ticket, double now)
    @cython.locals(idle=Idle)
    cpdef put(self, key, connection, double expires, double now)
    cpdef leave(self)
    @cython.locals(ticket=Ticket)
    cdef _serve(self)
    @cython.locals(at=Py_ssize_t, idle=Idle)
    cdef bint _grant(self, Ticket ticket) except -1
    cdef bint _granted(self, Ticket ticket) except -1
    cdef _end(self, Py_ssize_t at, cause)
