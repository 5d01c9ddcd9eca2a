# The types with which this module is compiled; it runs without them too.
cimport cython
from protocols.statements cimport Statement

cdef class SessionFragments:
    cdef public str session_id, head, tail
    cdef object kind, via, outcome
    cdef str front, back, shown_tag
    cdef bytes tag

cdef _take_variant(SessionFragments fragments, Statement statement)
cdef _take_tag(SessionFragments fragments, bytes tag)
@cython.locals(front=str, back=str, more=str, shown=str, uid=str, text=bytes,
               code=str, started=double, duration=double, time="long long",
               milliseconds="long long", microseconds="long long")
cpdef str encode_statement(
    SessionFragments fragments,
    Statement statement,
    long long sequence,
    str prev,
    double wall_base,
    bint with_parameters=*,
)
