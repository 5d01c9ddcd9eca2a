# The types with which ledger.py is compiled; it runs without them too.
cimport cython

cdef Py_ssize_t _FORGOTTEN
cdef int _NOTHING, _QUERY, _FUNCTION, _SYNC, _COPY_END, _MAYBE, _OUR_QUERY

@cython.freelist(256)
cdef class Expected:
    cdef public int code
    cdef public bytes name
    cdef public bytes source
    cdef public object prepared
    cdef public object statement
    cdef public object refusal
    cdef public Py_ssize_t weight
    cdef public Py_ssize_t segment
    cdef public object values
    cdef public bint is_stood_in

    cdef _fill(
        self, int code, bytes name, bytes source, prepared, statement, refusal, Py_ssize_t weight,
        Py_ssize_t segment
    )

cdef class Ledger:
    cdef list _entries
    cdef Py_ssize_t _start
    cdef public int head
    cdef public Py_ssize_t count
    cdef public Py_ssize_t weight
    cdef public Py_ssize_t segment
    cdef public Py_ssize_t maybes
    cdef public Py_ssize_t spare_ready
    cdef public bint is_answered
    cdef public bint is_skipping
    cdef public bint is_unsynced
    cdef public bint is_copying
    cdef public bint is_lost
    cdef bint _is_uncertain
    cdef Py_ssize_t _sure

    @cython.locals(entry=Expected)
    cpdef Expected push(
        self, int code, bytes name, bytes source, prepared, statement, refusal, Py_ssize_t weight
    )
    cpdef add_weight(self, Expected entry, Py_ssize_t weight)
    @cython.locals(entry=Expected)
    cpdef Expected first(self)
    cpdef Expected newest(self)
    @cython.locals(start=Py_ssize_t, entry=Expected)
    cdef Expected _pop(self)
    @cython.locals(entry=Expected)
    cdef Expected _at(self, Py_ssize_t place)
    @cython.locals(entry=Expected)
    cpdef Expected take(self)
    @cython.locals(entry=Expected)
    cdef _find_head(self)
    cpdef bint owes(self)
    cpdef bint is_settled(self)
    @cython.locals(entry=Expected)
    cpdef begin_copy_in(self)
    @cython.locals(place=Py_ssize_t)
    cpdef bint has_copy_end(self) except -1
    @cython.locals(entry=Expected, is_before_end=bint)
    cpdef end_copy_in(self)
    cpdef skip_maybes(self)
    @cython.locals(entry=Expected, place=Py_ssize_t)
    cpdef int sure_head(self) except -1
    @cython.locals(behind=int)
    cpdef list fail(self)
    cpdef Expected ready(self)
    @cython.locals(entry=Expected)
    cpdef list waiting(self)
    cpdef list drain(self)
