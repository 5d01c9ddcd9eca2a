# The types with which this module is compiled; it runs without them too.
cimport cython
from proxy.gateway.poller cimport Poller, Watched

cdef int _READ, _WRITE, _ENDING, _GONE, _READS
cdef Py_ssize_t _SMALL, _CHUNK

cdef class Side:
    cpdef data_received(self, bytes data)
    cpdef pause_writing(self)
    cpdef resume_writing(self)

cdef class PlainTransport(Watched):
    cdef object _loop, _socket, _waiting
    cdef Poller _poller
    cdef Side _side
    cdef int _fd, _wanted
    cdef Py_ssize_t _size, _sent, _waiting_bytes, _high, _low
    cdef bint _is_reading, _is_closing, _is_lost, _is_full, _is_drained
    cdef object __weakref__

    @cython.locals(count=Py_ssize_t, asked=Py_ssize_t, reads=int, data=bytes, is_drained=bint)
    cdef _read(self, int events)
    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t)
    cpdef write(self, bytes data)
    @cython.locals(sent=Py_ssize_t, data=bytes)
    cdef _flush(self)
    @cython.locals(wanted=int)
    cdef _watch(self)
    cdef _watch_again(self)
    cpdef pause_reading(self)
    cpdef resume_reading(self)
    cpdef bint is_quiet(self) except -1
    cpdef close(self)
