# The types with which this module is compiled; it runs without them too.
cimport cython

cdef int _MOST
cdef double _FOREVER

cdef class Watched:
    cpdef happened(self, int events)

cdef class Poller:
    cdef object _epoll
    cdef public object on_failure
    cdef int _number
    cdef list _watched, _chores
    cdef Py_ssize_t _count
    cdef int _found, _at
    cdef int[64] _fds
    cdef unsigned int[64] _events
    cdef bint _is_interrupted
    cdef double _until
    cdef object __weakref__

    @cython.locals(at=int)
    cpdef bint has_looked(self, int fd) except -1
    cpdef interrupt(self)
    cpdef interrupt_at(self, double when)
    @cython.locals(watched=Watched, count=int, at=int, fd=int, rest=double, until=double,
                   others=list)
    cpdef list wait(self, double timeout)
    cdef _do_chores(self)
    cdef int _wait(self, double timeout) except -1

cdef class PolledLoop(Watched):
    cdef Poller _poller
    cdef object _reader, _writer
    cdef int _wanted
    cdef object _call_later
    cdef readonly object call_soon, create_future, get_debug
    cdef object _call_exception_handler
    cdef object __weakref__

    @cython.locals(wanted=int, before=int)
    cdef _watch(self, int fd)
