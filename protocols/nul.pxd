# The find_nul of nul.py for compiled modules: the C library's search, no objects.
from libc.string cimport memchr

cdef inline Py_ssize_t find_nul(bytes data, Py_ssize_t start, Py_ssize_t stop):
    cdef const char *first = data
    cdef const char *found
    if stop > len(data):
        stop = len(data)
    if start < 0 or start >= stop:
        return -1
    found = <const char *>memchr(first + start, 0, stop - start)
    return -1 if found is NULL else found - first
