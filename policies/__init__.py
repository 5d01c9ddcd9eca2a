"""Who may do what: pure decisions over values. Knows SQL, not bytes on a wire.

The map of this package:

``grant``      ``decide_access``: may this token open this source? The only maker of a
               ``Grant``, which is the only thing that opens a source
``document``   the policy document: ``Policy``, read and validated
``effective``  the workspace's policy narrowed by the source's
``facts``      what a text of SQL does, in words that no engine owns
``decide``     facts held against a policy: a ``Verdict`` with rule and object
``length``     how long a statement may be, which needs no grammar
``client``     from where, when and how a client may come
``patterns``   names with ``*``
``classifiers``  which reader for which engine: ``postgres``, ``mysql``
``egress``     which hosts and addresses a source may name: ``check_host``, ``check_address``
``redaction``  which statements' text must not be written down, and what stands for it

No function here reads a clock, a file or a socket; time and addresses are arguments.
"""

from policies.egress import EgressRules, check_address, check_host
from policies.grant import (
    ArrivalFacts,
    Grant,
    SourceFacts,
    TokenFacts,
    WorkspaceFacts,
    decide_access,
)
from policies.redaction import fingerprint_if_secret, holds_secret, may_hold_secret

__all__ = [
    "ArrivalFacts",
    "EgressRules",
    "Grant",
    "SourceFacts",
    "TokenFacts",
    "WorkspaceFacts",
    "check_address",
    "check_host",
    "decide_access",
    "fingerprint_if_secret",
    "holds_secret",
    "may_hold_secret",
]
