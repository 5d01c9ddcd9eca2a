# The types with which scan.py is compiled; it runs without them too.
cimport cython
from protocols.scanner cimport Scanner
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.prepared cimport PreparedStatements
from protocols.postgres.records cimport Records
from protocols.postgres.scan_client cimport ClientScan
from protocols.postgres.scan_server cimport ServerScan

cdef int _IDLE

cdef class PostgresScanner(Scanner):
    cdef Ledger _ledger
    cdef ClientScan _client
    cdef ServerScan _server
    cdef PreparedStatements _statements
    cdef Records _records

    cpdef bytes from_client(self, bytes data, double now)
    cpdef bytes from_server(self, bytes data, double now)
    @cython.locals(entry=Expected)
    cpdef close(self, double now)
