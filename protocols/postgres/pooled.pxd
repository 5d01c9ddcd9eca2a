# The types with which pooled.py is compiled; it runs without them too.
cdef class Text:
    cdef public bytes name
    cdef public object body
    cdef public long long epoch
    cdef object __weakref__

cdef class Texts:
    cdef object _texts
    cdef long long _count
    cdef dict _settings

    cpdef Text find(self, bytes body)
    cpdef Text make_long(self)
    cdef bytes _name(self)

cdef class ServerStatements:
    cdef object _states
    cdef dict _leaving
    cdef Py_ssize_t _limit

    cpdef bint has(self, Text text, Py_ssize_t segment) except -1
    cpdef bint may_have(self, Text text) except -1
    cpdef send_parse(self, Text text, entry)
    cpdef send_close(self, Text text, entry)
    cpdef Text excess(self)
    cpdef confirm_parse(self, Text text, entry)
    cpdef confirm_close(self, Text text, entry)
    cpdef lose_parse(self, Text text, entry)
    cpdef lose_close(self, Text text, entry)

cdef class ServerMemory:
    cdef public object parameters, settings
    cdef public ServerStatements statements
