# The types with which ledger.py is compiled; it runs without them too.
cimport cython

cdef int _NOTHING, _NO_FILE

cdef class InPlace:
    cdef public int number
    cdef public str sqlstate
    cdef public bytes text
    cdef public object outcome

@cython.freelist(256)
cdef class Expected:
    cdef public int code
    cdef public object statement
    cdef public Py_ssize_t weight
    cdef public object prepared
    cdef public int sequence
    cdef public bint is_whole
    cdef public bint is_replaced
    cdef public object in_place
    cdef public bint has_cursor
    cdef public object runs
    cdef public bytes text
    cdef public Py_ssize_t files

    cdef _fill(self, int code, statement, Py_ssize_t weight)

cdef class Ledger:
    cdef object _entries
    cdef public Py_ssize_t count
    cdef public Py_ssize_t weight
    cdef public int file_state
    cdef public int file_sequence
    cdef public bint is_file_continued
    cdef public Py_ssize_t files
    cdef public bint is_client_between
    cdef public bint has_silent_behind
    cdef public int status
    cdef public bint is_fatal

    @cython.locals(entry=Expected)
    cpdef Expected push(self, int code, statement, Py_ssize_t weight)
    cpdef add(self, Expected entry)
    cpdef Expected first(self)
    @cython.locals(entry=Expected)
    cpdef Expected take(self)
    cpdef list drain(self)
