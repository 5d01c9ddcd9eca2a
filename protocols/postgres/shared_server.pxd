# The types with which shared_server.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.pooled cimport ServerMemory
from protocols.postgres.scan_server cimport ServerScan
from protocols.postgres.shared_client cimport SharedClientScan
from protocols.statements cimport Statement

cdef int _IDLE, _QUERY, _PARSE, _BIND, _EXECUTE, _MAYBE, _OUR_PARSE, _OUR_CLOSE, _OUR_QUERY
cdef Py_ssize_t _LOOK_LIMIT

cdef class SharedServerScan(ServerScan):
    cdef SharedClientScan _of_client
    cdef ServerMemory _memory
    cdef dict _changed
    cdef readonly dict reported
    cdef list _made

    cpdef attach(self, ServerMemory memory)
    cdef _note_setting(self, bytes data, Py_ssize_t at, Py_ssize_t total)
    cpdef bint has_changed(self) except -1
    @cython.locals(ledger=Ledger, head=int, entry=Expected)
    cdef _take_server(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    cdef _confirm(self, Expected entry)
    @cython.locals(first=Expected, entry=Expected)
    cdef _dropped(self, list dropped, str sqlstate, double now)
    cdef _follow_deallocate(self, bytes tag, Statement statement, double now)
    cdef _follow(self, bytes data, Py_ssize_t at, Py_ssize_t total)
