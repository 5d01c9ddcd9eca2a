"""What happens before an audit log takes its first record.

Knows the order: the lock, the chain's end, what a dead process left, the new file's
first lines, and only once those are durable a new journal. Everything here blocks.
"""

from __future__ import annotations

import uuid

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.audit.batch import Batch
from proxy.audit.chain import MAXIMUM_UNSIGNED, Chain
from proxy.audit.events import finding
from proxy.audit.files import FolderLock, next_name, resume
from proxy.audit.journal import Journal, read_journal
from proxy.audit.recovery import recover
from proxy.audit.settings import AuditSettings, Clock


def new_journal(settings: AuditSettings) -> Journal:
    """An empty journal in the place of the old one. Raises OSError."""
    return Journal.create(
        settings.folder,
        segment_size=settings.journal_segment,
        segments=settings.journal_segments,
    )


def prepare(
    settings: AuditSettings, signing_key: Ed25519PrivateKey, clock: Clock
) -> tuple[FolderLock, Chain, Batch]:
    """Everything before the first write: the lock, the chain's end, the first batch."""
    folder = settings.folder
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        end = resume(folder)
        left = read_journal(folder)
        chain = Chain(signing_key, uuid.uuid4().hex, end.sequence, end.hash)
        now = clock.time()
        file = next_name(end.file, now)
        batch = Batch(file)
        batch.add(chain.header(file, end.file, now))
        for torn in end.torn:
            event = finding(
                "Torn end of the audit log",
                "The last process died while it wrote; the incomplete end was kept aside.",
                details={"kept_as": torn.kept_as, "size": torn.size, "sha256": torn.sha256},
            )
            batch.add(chain.event(event, now))
        for line in recover(folder, left, chain, now):
            batch.add(line)
            if chain.sequence - chain.signed >= MAXIMUM_UNSIGNED:
                batch.add(chain.checkpoint(now))
        batch.head = chain.checkpoint(now)
        batch.add(batch.head)
        batch.sync = True
    except BaseException:
        lock.release()
        raise
    return lock, chain, batch
