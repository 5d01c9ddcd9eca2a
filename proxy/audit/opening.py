"""What happens before an audit log takes its first record.

Knows the order: the lock, the chain's end, what a dead process left, the new file's
first lines, and only once those are durable a new journal. Everything here blocks.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from proxy.audit.batch import Batch
from proxy.audit.chain import MAXIMUM_UNSIGNED, Chain
from proxy.audit.files import AuditFolderError, FolderLock, next_name, resume
from proxy.audit.findings import torn_end
from proxy.audit.journal import Journal, read_journal
from proxy.audit.recovery import recover
from proxy.audit.settings import AuditSettings, Clock
from proxy.audit.writer import ChainFile, Disk


@dataclass(frozen=True, slots=True)
class Begun:
    """An audit folder that is ours, with the first batch of its new file durable."""

    lock: FolderLock
    chain: Chain
    first: Batch
    file: ChainFile
    journal: Journal


def begin(
    settings: AuditSettings, signing_key: Ed25519PrivateKey, clock: Clock, disk: Disk
) -> Begun:
    """Lock the folder, recover what a dead process left, and begin a file and a journal.

    Raises AuditFolderError with one sentence for the operator.
    """
    file = ChainFile(settings.folder, disk)
    try:
        lock, chain, first = _prepare(settings, signing_key, clock)
        try:
            file.write(first)
            # In the place of the old one, whose statements have records now.
            journal = Journal.create(
                settings.folder,
                segment_size=settings.journal_segment,
                segments=settings.journal_segments,
            )
        except OSError:
            file.close()
            lock.release()
            raise
    except OSError as error:
        raise AuditFolderError(
            f"the audit folder {settings.folder} cannot be used: "
            f"{error.strerror or type(error).__name__}"
        ) from error
    return Begun(lock, chain, first, file, journal)


def _prepare(
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
            event = torn_end(torn.kept_as, torn.size, torn.sha256)
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
