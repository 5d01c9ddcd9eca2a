# The types with which scanner.py is compiled; it runs without them too.
cdef class Scanner:
    cdef public bint is_crowded, has_said_goodbye, is_releasable

    cpdef bytes from_client(self, bytes data, double now)
    cpdef bytes from_server(self, bytes data, double now)
    cpdef int needs_server(self, bytes data) except -2
    cpdef bytes attach(self, memory)
    cpdef detach(self)
    cpdef close(self, double now)
