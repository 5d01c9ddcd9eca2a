# The types with which answers.py is compiled; it runs without them too.
cimport cython

@cython.locals(severity=bytes, sqlstate=str, field=int, end=Py_ssize_t, value=bytes)
cpdef tuple error_fields(bytes data, Py_ssize_t at, Py_ssize_t stop)
cpdef list deallocated_names(bytes text)
@cython.locals(name_end=Py_ssize_t, name=bytes)
cpdef tuple followed_setting(bytes data, Py_ssize_t at, Py_ssize_t stop)
