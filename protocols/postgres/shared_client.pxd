# The types with which shared_client.py is compiled; it runs without them too.
cimport cython
from protocols.postgres.ledger cimport Expected, Ledger
from protocols.postgres.pooled cimport ServerMemory, ServerStatements, Text, Texts
from protocols.postgres.prepared cimport Prepared
from protocols.postgres.scan_client cimport ClientScan

cdef int _PARSE, _BIND, _OUR_PARSE, _OUR_CLOSE, _OUR_QUERY
cdef Py_ssize_t _NAME_LENGTH, _NAME_LIMIT
cdef ServerMemory _NOWHERE
cdef ServerStatements _NOTHING

cdef class SharedClientScan(ClientScan):
    cdef object _remains
    cdef Texts _texts
    cdef ServerStatements _server
    cdef public str pinned_by
    cdef public tuple settings
    cdef ServerMemory _memory
    cdef Expected _setting
    cdef tuple _change
    cdef object _on_reset
    cdef Expected _discarding
    cdef Py_ssize_t _pins, _pins_before
    cdef bint _is_alone, _is_fresh, _is_unnamed_confirmed
    cdef Prepared _unnamed
    cdef Py_ssize_t _unnamed_segment

    cpdef attach(self, ServerMemory memory)
    cpdef detach(self)
    cpdef pin(self, str cause)
    cpdef change_of(self, Expected entry)
    cpdef settle(self, list changes, bint is_idle)
    cpdef unpin(self, Expected entry)
    cpdef confirm_unnamed(self, prepared)
    cpdef lose_unnamed(self)
    cdef bytes _lead(self)
    cdef _take_client(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(is_discarding=bint)
    cdef _take_query(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(name_end=Py_ssize_t, length=Py_ssize_t, is_whole=bint, is_there=bint, ledger=Ledger,
                   entry=Expected, prepared=Prepared, text=Text)
    cdef _take_parse(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    @cython.locals(stop=Py_ssize_t, portal_end=Py_ssize_t, name_end=Py_ssize_t, length=Py_ssize_t,
                   prepared=Prepared, text=Text)
    cdef _take_bind(self, bytes data, Py_ssize_t at, Py_ssize_t total)
    @cython.locals(prepared=Prepared, text=Text)
    cdef _take_describe_or_close(self, int code, bytes data, Py_ssize_t at, Py_ssize_t total)
    cdef _take_function(self, bytes data, Py_ssize_t at, Py_ssize_t total, double now)
    cdef _behind(self, bytes before, bytes replacement, bytes data, Py_ssize_t at)
    cdef _object(self, int code, bytes name, Prepared prepared)
    cdef bint _is_own(self, bytes name) except -1
    @cython.locals(prepared=Prepared)
    cdef bint _is_shared(self, bytes name) except -1
    cdef bint _has_unnamed(self, Prepared prepared) except -1
    @cython.locals(ledger=Ledger, text=Text, server=ServerStatements)
    cdef bytes _bring(self, Prepared prepared)
    cdef bytes _make_gone(self)
    @cython.locals(text=Text)
    cdef bytes _make_room(self)
    cdef bytes _close(self, Text text)
    cdef _carried(self, found)
    cdef bytes _heed(self, str cause, bint is_deallocating)
