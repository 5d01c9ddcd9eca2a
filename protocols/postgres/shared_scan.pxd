# The types with which shared_scan.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Ledger
from protocols.postgres.pooled cimport ServerMemory
from protocols.postgres.scan cimport PostgresScanner
from protocols.postgres.shared_client cimport SharedClientScan
from protocols.postgres.shared_server cimport SharedServerScan

cdef int _IDLE
cdef Py_ssize_t _FIRST_LIMIT

cdef class SharedScanner(PostgresScanner):
    cdef SharedClientScan _shared_client
    cdef SharedServerScan _shared_server
    cdef object _told, _on_pin
    cdef bint _is_told_of_pin

    @cython.locals(p="const unsigned char *", size="long long", length="long long")
    cpdef int needs_server(self, bytes data) except -2
    @cython.locals(of_server=ServerMemory)
    cpdef bytes attach(self, memory)
    cpdef detach(self)
    cpdef bytes from_client(self, bytes data, double now)
    cpdef bytes from_server(self, bytes data, double now)
    @cython.locals(client=SharedClientScan, ledger=Ledger)
    cdef bint _may_go(self) except -1
