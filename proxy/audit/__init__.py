"""The audit log: what happened, in order, so that a change to it shows.

The map of this package:

``ocsf``      the words of OCSF 1.8.0, and an event
``events``    the proxy's events that are not statements, each as one function
``findings``  what the log records of itself, for an operator to look at
``people``    the same of the staff
``context``   what is constant for one session
``encode``    events and statements as lines of JSON
``chain``     how a line vouches for all before it; signatures; what cannot be shown
``journal``   a statement's verdict on record before its bytes leave, for a memcpy
``recorder``  the StatementSink of one session: the hot path
``log``       the queue, the pace, failure and congestion: what the gateway is given
``settings``  its sizes and times; the clock
``opening``   what happens before the first record
``assembly``  the queue's turn into batches of chained lines; rotation
``delivery``  a batch on its way to the disk, tried again until it is written
``writer``    the one thread that touches the chain's files
``files``     the folder: names, the lock, the chain's end, torn ends
``recovery``  what a dead process left, as records
``verify``    names the first bad record and what is wrong with it; ``report``: in what words
``read``      search and tail, across rotated files and all chains
``chains``    the chains of more workers, in folders of their own
``crosscheck``  all chains, and what each says that it saw of the others
"""

from proxy.audit.context import Leg, SessionContext
from proxy.audit.files import AuditFolderError
from proxy.audit.log import AuditLog
from proxy.audit.ocsf import Event
from proxy.audit.recorder import SessionRecorder
from proxy.audit.settings import AuditSettings

__all__ = [
    "AuditFolderError",
    "AuditLog",
    "AuditSettings",
    "Event",
    "Leg",
    "SessionContext",
    "SessionRecorder",
]
