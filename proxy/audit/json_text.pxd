# The types with which this module is compiled; it runs without them too.
cimport cython

@cython.locals(members=list)
cpdef str dump(object value, int depth=*)
@cython.locals(text=str)
cdef str _string(object value)
