# The types with which statements.py is compiled; it runs without them too.

cdef class Statement:
    cdef public object via, text, kind, name, outcome, tag, code, parameters
    cdef public Py_ssize_t text_length, rows, bytes_in, bytes_out
    cdef public double started, ended
    cdef public long long number, place
