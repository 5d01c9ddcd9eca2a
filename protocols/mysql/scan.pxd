# The types with which scan.py is compiled; it runs without them too.
cimport cython
from protocols.scanner cimport Scanner
from protocols.mysql.ledger cimport Expected, InPlace, Ledger
from protocols.mysql.scan_client cimport ClientScan
from protocols.mysql.scan_server cimport ServerScan
from protocols.statements cimport Statement, StatementSink

cdef int _DEPRECATE_EOF, _FILE_COMING, _IN_TRANS, _AUTOCOMMIT

cdef class MysqlScanner(Scanner):
    cdef object _prepared
    cdef StatementSink _sink
    cdef Ledger _ledger
    cdef ClientScan _client
    cdef ServerScan _server

    cpdef bytes from_client(self, bytes data, double now)
    cpdef bytes from_server(self, bytes data, double now)
    @cython.locals(entry=Expected, answer=InPlace)
    cpdef close(self, double now)
    cdef _end(self, Statement statement, outcome, str sqlstate, double now)
