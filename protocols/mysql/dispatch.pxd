# The types with which dispatch.py is compiled; it runs without them too.
cimport cython
from protocols.mysql.command cimport Command
from protocols.mysql.ledger cimport Expected, Ledger
from protocols.mysql.prepared_commands cimport PreparedCommands
from protocols.statements cimport Statement

cdef int _COM_QUIT, _COM_INIT_DB, _COM_QUERY, _COM_FIELD_LIST, _COM_STATISTICS, _COM_PROCESS_KILL
cdef int _COM_PING, _COM_STMT_PREPARE, _COM_STMT_EXECUTE, _COM_STMT_SEND_LONG_DATA
cdef int _COM_STMT_CLOSE, _COM_STMT_RESET, _COM_SET_OPTION, _COM_STMT_FETCH, _COM_RESET_CONNECTION
cdef int _SIMPLE, _RESET, _TEXT, _QUERY, _FIELDS, _NO_BACKSLASH_ESCAPES
cdef Py_ssize_t _FULL, _NAME_LIMIT

cdef class Dispatch:
    cdef Command _command
    cdef PreparedCommands _prepared
    cdef Ledger _ledger
    cdef object _kill
    cdef bint _local_infile
    cdef Py_ssize_t _text_limit, _execute_look
    cdef readonly bint goodbye

    @cython.locals(fixed=Py_ssize_t)
    cdef Py_ssize_t needed(self, int code, Py_ssize_t length) except -1
    @cython.locals(ledger=Ledger)
    cdef bint take(self, int code, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    @cython.locals(number="unsigned long", entry=Expected)
    cdef bint _take_rare(self, int code, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    @cython.locals(statement=Statement)
    cdef bint _tell(self, int code, bytes text, kind, Py_ssize_t length, double now) except -1
    @cython.locals(statement=Statement, entry=Expected, has_escapes=bint, files=Py_ssize_t)
    cdef bint _take_query(self, bytes data, Py_ssize_t at, Py_ssize_t length, double now) except -1
    cdef _carry_out(self, number, bint only_statement)
