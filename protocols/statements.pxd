# The types with which statements.py is compiled; it runs without them too.
cimport cython

cdef object _OTHER, _PENDING, _SELECT
cdef dict _QUICK

@cython.locals(p="const char *")
cpdef kind_of_text(bytes text)

# It refers to nothing that could refer to it.
@cython.no_gc
@cython.freelist(512)
cdef class Statement:
    cdef public object via, text, kind, name, outcome, tag, code, values, rule
    cdef public Py_ssize_t text_length, rows, bytes_in, bytes_out
    cdef public double started, ended
    cdef public long long number, place

    cdef _begin(self, via, bytes text, Py_ssize_t text_length, double started)

@cython.locals(statement=Statement)
cpdef Statement new_statement(via, bytes text, Py_ssize_t text_length, double started)

cdef class StatementSink:
    cpdef begin(self, Statement statement)
    cpdef end(self, Statement statement)
    cpdef why_stopped(self)
