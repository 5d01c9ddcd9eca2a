# The types with which this module is compiled; it runs without them too.
cimport cython
from protocols.statements cimport Statement
from proxy.audit.batch cimport Batch
from proxy.audit.chain cimport Chain
from proxy.audit.encode cimport SessionFragments, encode_statement
from proxy.audit.recorder cimport SessionRecorder

cdef long long _BATCH, _CHECKPOINT_RECORDS, _COST

cdef class Assembly:
    cdef object _settings, _clock, _batches
    cdef public Chain chain
    cdef long long _file, _file_bytes, _rotate_bytes
    cdef double _day_begins
    cdef public long long unwritten
    cdef public double last_checkpoint

    @cython.locals(batch=Batch, chain=Chain, recorder=SessionRecorder, statement=Statement,
                   fragments=SessionFragments, line=bytes, freed="long long")
    cpdef long long encode(self, pending, Py_ssize_t most) except -1
    cdef _add(self, Batch batch, bytes line)
    cdef _sign(self, Batch batch)
    @cython.locals(batch=Batch, now=double)
    cdef Batch _open_batch(self, bint is_full=*)
