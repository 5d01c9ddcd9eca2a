# The types with which prepared_commands.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.command cimport Command
from protocols.mysql.ledger cimport Expected, Ledger
from protocols.statements cimport Statement

cdef int _EXECUTE, _PREPARE, _FETCH, _CURSOR_TYPES, _NO_BACKSLASH_ESCAPES
cdef Py_ssize_t _BEFORE_VALUES

cdef class PreparedCommands:
    cdef Command _command
    cdef Ledger _ledger
    cdef object _statements
    cdef bint _is_mariadb
    cdef Py_ssize_t _text_limit, _values_limit

    @cython.locals(statement=Statement, entry=Expected)
    cdef bint prepare(self, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    @cython.locals(entry=Expected, stop=Py_ssize_t)
    cdef bint execute(self, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    @cython.locals(entry=Expected)
    cdef bint fetch(self, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    cdef close(self, bytes data, Py_ssize_t at)
    cdef add_long_data(self, bytes data, Py_ssize_t at, Py_ssize_t length)
    cdef reset(self, bytes data, Py_ssize_t at)
    cdef _find(self, bytes data, Py_ssize_t at)
    @cython.locals(statement=Statement, entry=Expected, weight=Py_ssize_t)
    cdef bint _run(self, int code, prepared, Py_ssize_t bytes_before, values, Py_ssize_t length, double now) except -1

cdef _number(bytes data, Py_ssize_t at)
