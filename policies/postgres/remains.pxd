# The types with which remains.py is compiled; it runs without them too.
cimport cython

cdef list _NO_WORDS
cdef int _OTHER, _WORD, _DOT, _CLOSED, _FIELD

@cython.freelist(8)
cdef class _Reader:
    cdef bytes text, deallocates, first
    cdef str cause
    cdef bint resets_all, has_transaction
    cdef bint is_deallocating, is_quoted, is_temporary, is_with_hold, is_looked_at, is_behind_paren
    cdef list words, third
    cdef Py_ssize_t name, name_end, schema, schema_end, context, context_end
    cdef int statements, last, depth, config, commas

    cdef renew(self)
    cdef blame(self, str cause)
    cdef take_word(self, Py_ssize_t start, Py_ssize_t end, bint is_quoted)
    cdef _keep_word(self)
    cdef take_mark(self)
    cdef open(self)
    @cython.locals(is_ddl=bint)
    cdef _call(self)
    cdef close(self)
    cdef take_other(self, bytes sign)
    cdef end(self)
    cdef _judge(self, bytes first, list words)
    cdef result(self)

@cython.locals(p="const unsigned char *", c=int, at=Py_ssize_t, size=Py_ssize_t, start=Py_ssize_t,
               length=Py_ssize_t, reader=_Reader)
cpdef remains(bytes text)
