# The types with which this module is compiled; it runs without them too.
cimport cython

cdef dict _keys

@cython.locals(parts=list)
cpdef str dump(object value)
@cython.locals(before=str)
cdef int _write(list parts, object value, int depth) except -1
cdef str _key(object name)
@cython.locals(text=str)
cdef str _string(object value)
