# The types with which this module is compiled; it runs without them too.
cimport cython
from protocols.statements cimport Statement

cdef class SessionFragments:
    cdef public object context
    cdef public long long file
    cdef object kind, via, outcome
    cdef str front, sort, shown_tag
    cdef bytes tag

cdef _take_sort(SessionFragments fragments, Statement statement)
cdef _take_tag(SessionFragments fragments, bytes tag)
@cython.locals(byte="unsigned char", odd="unsigned char")
cpdef bint is_plain(bytes text) except -1
@cython.locals(more=str, shown=str, text=bytes, tag=bytes, code=str, is_lossy=bint,
               started=double, duration=double, time="long long", microseconds="long long")
cpdef bytes encode_statement(
    SessionFragments fragments,
    Statement statement,
    long long sequence,
    str prev,
    double wall_base,
)
