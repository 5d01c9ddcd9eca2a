# The types with which ledger.py is compiled; it runs without them too.
cimport cython

cdef int _NOTHING, _QUERY, _FUNCTION, _SYNC, _COPY_END, _MAYBE

@cython.freelist(256)
cdef class Expected:
    cdef public int code
    cdef public object name
    cdef public object source
    cdef public object statement
    cdef public object refusal

cdef class Ledger:
    cdef object _entries
    cdef public int head
    cdef public Py_ssize_t count
    cdef public bint is_skipping
    cdef public bint is_uncertain
    cdef public int spare_ready
    cdef Py_ssize_t _maybes

    cpdef push(self, int code, name, source, statement, refusal)
    cpdef Expected first(self)
    @cython.locals(entry=Expected)
    cpdef Expected take(self)
    @cython.locals(entry=Expected)
    cdef _find_head(self)
    cpdef bint owes(self)
    @cython.locals(entry=Expected, index=Py_ssize_t)
    cpdef begin_copy_in(self)
    @cython.locals(entry=Expected)
    cpdef bint has_copy_end(self)
    @cython.locals(entry=Expected, is_before_end=bint)
    cpdef end_copy_in(self)
    cpdef list fail(self)
    cpdef ready(self)
    cpdef list drain(self)
