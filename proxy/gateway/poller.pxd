# The types with which this module is compiled; it runs without them too.
cimport cython

cdef class Watched:
    cpdef happened(self, int events)

cdef class Poller:
    cdef object _loop, _epoll
    cdef int _number
    cdef dict _watched
    cdef int[64] _fds
    cdef unsigned int[64] _events
    cdef object __weakref__

    cdef int _ready(self) except -1
    @cython.locals(watched=Watched, rounds=int, count=int, at=int)
    cpdef _turn(self)

cdef class PolledLoop(Watched):
    cdef Poller _poller
    cdef object _reader, _writer
    cdef int _wanted
    cdef readonly object call_soon, call_later, create_future, get_debug, call_exception_handler
    cdef object __weakref__

    @cython.locals(wanted=int, before=int)
    cdef _watch(self, int fd)
