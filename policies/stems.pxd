# The types with which stems.py is compiled; it runs without them too.
cimport cython

cdef tuple _STEMS
cdef Py_ssize_t _LONGEST
cdef int _ESCAPE
cdef bytes _PLACES

@cython.locals(places="const unsigned char *", p="const unsigned char *", size=Py_ssize_t,
               at=Py_ssize_t, state="unsigned int")
cpdef bint has_stem(bytes text) except -1
