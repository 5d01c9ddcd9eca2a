# The types with which prepared.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected
from protocols.statements cimport Statement

cdef int _PARSE, _BIND, _CLOSE_STATEMENT, _CLOSE_PORTAL

cdef class Prepared:
    cdef public object name
    cdef public object text
    cdef public Py_ssize_t text_length
    cdef public object kind
    cdef public Py_ssize_t segment
    cdef public bint is_confirmed
    cdef public Py_ssize_t holders
    cdef public Statement pending
    cdef public bint has_values_shown
    cdef public tuple types
    cdef public object body, shared, sets

cdef class PreparedStatements:
    cdef dict _statements, _portals, _coming_statements, _coming_portals, _values
    cdef Py_ssize_t _coming_count, _bytes, _count_limit, _bytes_limit

    @cython.locals(named=Py_ssize_t)
    cdef bint has_room(self, Py_ssize_t size) except -1
    cdef bint has_portal_room(self) except -1
    cdef send_statement(self, Expected entry)
    cdef send_portal(self, Expected entry)
    @cython.locals(coming=Expected)
    cdef Prepared to_be_named(self, bytes name)
    cdef Expected coming_portal(self, bytes name)
    @cython.locals(code=int)
    cdef drop(self, Expected entry)
    cdef drop_all(self)
    cdef name_statement(self, Prepared prepared)
    @cython.locals(prepared=Prepared)
    cdef open_portal(self, bytes name, bytes source, values)
    cdef close_portal(self, bytes name)
    cdef close_portals(self)
    cdef Prepared in_portal(self, bytes name)
    cdef values_in(self, bytes portal)
    @cython.locals(coming=Expected, prepared=Prepared)
    cdef bint may_show_values(self, bytes name) except -1
    cdef list names(self)
    @cython.locals(prepared=Prepared, statement=Statement)
    cdef Statement forget(self, bytes name)
    cdef retain(self, Prepared prepared)
    cdef release(self, Prepared prepared)

cpdef retell(Statement statement, bytes portal, Prepared prepared)
