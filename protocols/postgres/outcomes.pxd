# The types with which outcomes.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.prepared cimport Prepared, PreparedStatements
from protocols.postgres.records cimport Records
from protocols.statements cimport Statement

cdef int _NOTHING, _QUERY, _FUNCTION, _SYNC, _PARSE, _EXECUTE, _MAYBE
cdef int _IDLE, _IN_TRANSACTION, _FAILED_TRANSACTION
cdef Py_ssize_t _LOOK_LIMIT, _TAG_LIMIT

cdef class Outcomes:
    cdef Records _records
    cdef Ledger _ledger
    cdef PreparedStatements _statements
    cdef readonly int status
    cdef readonly dict settings
    cdef readonly bint is_fatal
    cdef bint _is_copy_in, _keeps_values

    @cython.locals(entry=Expected, ledger=Ledger, statement=Statement, tag=bytes, p="const char *")
    cdef _take_complete(self, int head, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(prepared=Prepared, statement=Statement)
    cdef _end_execute(self, Expected entry, outcome, double now)
    cdef _end_refused(self, Expected entry, double now)
    @cython.locals(entry=Expected, statement=Statement)
    cdef _take_ready(self, int status, double now)
    @cython.locals(stop=Py_ssize_t, ledger=Ledger, head=int, entry=Expected)
    cdef _take_error(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(entry=Expected, first=Expected, ledger=Ledger, prepared=Prepared,
                   statement=Statement)
    cdef _fail(self, str sqlstate, double now)
    @cython.locals(prepared=Prepared)
    cdef _dropped(self, list dropped, str sqlstate, double now)
    cdef _confirm_parse(self, Expected entry, double now)
    cdef _confirm_bind(self, Expected entry, double now)
    cdef forget(self, bytes name, double now)
    cdef _follow_deallocate(self, bytes tag, Statement statement, double now)
    cdef _follow(self, bytes data, Py_ssize_t at, Py_ssize_t total)

@cython.locals(digits=bytes)
cdef _count_in(bytes tag)
