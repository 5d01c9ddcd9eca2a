"""The hash chain: how one line of the audit log vouches for all before it.

Knows lines, hashes and signatures. Must never know files being open, sessions or time.

A line's hash is the SHA-256 of its bytes without the line break. A line names the hash
of the line before it in ``prev``, the first one names 64 zeros; so the hash of a line
covers the whole log up to it, and ``printf %s "$LINE" | sha256sum`` checks one by hand.

Some lines are signed with Ed25519: the header that begins each file, and checkpoints
(at least every 60 s, every ``MAXIMUM_UNSIGNED`` records, at rotation and at close). The
signature is over ``DOMAIN`` and the line itself with the signature's 88 characters
taken out, so it covers ``prev``, the sequence number, the file's name and the time.
The file ``head`` is a copy of the newest checkpoint line.

What this cannot show without a checkpoint kept elsewhere: that somebody put the whole
folder, ``head`` too, back to an earlier state of itself; or that somebody rewrote what
came after the newest checkpoint (at most 60 s of a killed proxy's last records).
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

import cython
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from proxy.audit.encode import encode_event, event_text, join_event
from proxy.audit.ocsf import OTHER, VERSION, Event, EventClass

if cython.compiled:
    from cython.cimports.proxy.audit.digest import hash_hex
else:
    from proxy.audit.digest import hash_hex

GENESIS = "0" * 64
"""``prev`` of the first line there is."""

DOMAIN = b"accode-proxy audit line v1\n"
MAXIMUM_UNSIGNED = 8192
"""Records between two signed lines; bounds what can be rewritten after the last one."""

MAXIMUM_LINE = 4 * 1024 * 1024
"""Bytes of a line. The longest is a statement of 64 KiB, every byte a 6-byte escape,
with 16 KiB of values: far below; a longer line is not ours."""

FILE_NAME = re.compile(r"audit-(\d{8})-(\d{4,9})\.jsonl")
HEAD_NAME = "head"
_SIGNATURE_LENGTH = 88

_COMPACT_FRONT = re.compile(
    rb'\{"sequence":(\d{1,18}),'
    rb'"(?:session":"([A-Za-z0-9_.:-]{1,64})"|statement":"(([A-Za-z0-9_.:-]{1,64})/\d{1,18})"),'
)
_COMPACT_BACK = re.compile(rb',"prev":"([0-9a-f]{64})"\}')
_COMPACT_BACK_LENGTH = len(b',"prev":""}') + 64
_FRONT = re.compile(rb'\{"metadata":\{"sequence":(\d{1,18}),')
_BACK = re.compile(
    rb'(?:"statement":"([A-Za-z0-9_.:-]{1,64}/\d{1,18})",)?'
    rb'(?:"signature":"([A-Za-z0-9+/=]{88})",)?'
    rb'"prev":"([0-9a-f]{64})"\}\}\Z'
)
_BACK_WINDOW = 400
_FILE = re.compile(rb'"unmapped":\{"chain":"(header|checkpoint)","file":"([a-z0-9.-]{1,64})"')


@dataclass(frozen=True, slots=True)
class Link:
    """What the chain needs of one line. ``statement`` is session/number, or "".

    ``session`` is the id of the session whose line this is or, beside a ``statement``,
    whose line it needs; "" where a record stands for itself.
    """

    sequence: int
    prev: str
    statement: str = ""
    signature: bytes | None = None
    session: str = ""


def parse_link(line: bytes) -> Link | None:
    """A line's link (without its line break), or None where it is not of our form.

    Looked for at the line's two ends alone. Between them stands what clients sent, whose
    quotes are escaped: it can neither end a line nor begin one.
    """
    compact = _COMPACT_FRONT.match(line)
    if compact is not None:
        start = max(compact.end() - 1, len(line) - _COMPACT_BACK_LENGTH)
        end = _COMPACT_BACK.fullmatch(line, start)
        if end is None:
            return None
        sequence, session, statement, of_session = compact.groups()
        return Link(
            int(sequence),
            end[1].decode(),
            statement.decode() if statement else "",
            session=(session or of_session).decode(),
        )
    front = _FRONT.match(line)
    back = _BACK.search(line, max(0, len(line) - _BACK_WINDOW))
    if front is None or back is None:
        return None
    return Link(
        int(front[1]), back[3].decode(), (back[1] or b"").decode(), back[2] if back[2] else None
    )


def hash_line(line: bytes) -> str:
    """The hash of a line without its line break, as 64 hex digits."""
    return hashlib.sha256(line).hexdigest()


def signed_part(line: bytes) -> tuple[str, str] | None:
    """Of a signed line: ("header" or "checkpoint", the file it belongs to)."""
    found = _FILE.search(line)
    return (found[1].decode(), found[2].decode()) if found else None


def is_signed_by(line: bytes, link: Link, key: Ed25519PublicKey) -> bool:
    """Whether a line carries this key's signature over itself."""
    if link.signature is None:
        return False
    place = len(line) - len(b'","prev":""}}') - 64 - _SIGNATURE_LENGTH
    blank = line[:place] + line[place + _SIGNATURE_LENGTH :]
    try:
        key.verify(base64.b64decode(link.signature, validate=True), DOMAIN + blank)
    except (InvalidSignature, ValueError):
        return False
    return True


def names_key(line: bytes, key: Ed25519PublicKey) -> bool:
    """Whether a signed line says that this key signed it."""
    return f'"key":"{key_id(key)}"'.encode() in line


def key_id(key: Ed25519PublicKey) -> str:
    """A short name for a key: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


class Chain:
    """The growing end of the chain: gives each line its sequence number and ``prev``."""

    def __init__(self, key: Ed25519PrivateKey, instance: str, sequence: int, prev: str) -> None:
        self._key = key
        self._key_id = key_id(key.public_key())
        self.instance = instance
        self.sequence = sequence
        """Of the newest line; 0 where there is none."""
        self.prev = prev
        """The hash of the newest line."""
        self.signed = sequence
        """The sequence number of the newest signed line of this process."""
        self.file = ""

    def link(self, line: bytes) -> bytes:
        """Take a line that was encoded for ``sequence + 1`` and ``prev``, and give it back.

        Without a line break, as are all lines here: the hash is, and a batch adds it.
        """
        self.prev = hash_hex(line)
        self.sequence += 1
        return line

    def event(self, event: Event, time: float) -> bytes:
        """Encode and link an event."""
        return self.link(encode_event(event, self.sequence + 1, self.prev, time))

    def text(self, text: str) -> bytes:
        """Link an event that is an ``event_text`` already."""
        return self.link(join_event(text, self.sequence + 1, self.prev))

    def header(self, file: str, previous_file: str, time: float) -> bytes:
        """The signed line that begins a file."""
        self.file = file
        return self._signed("header", {"previous_file": previous_file}, "Audit file opened", time)

    def checkpoint(self, time: float) -> bytes:
        """A signed line about everything before it."""
        return self._signed("checkpoint", {}, "Audit checkpoint", time)

    def _signed(self, what: str, more: dict[str, object], name: str, time: float) -> bytes:
        event = Event(
            EventClass.APPLICATION_LIFECYCLE,
            OTHER,
            activity_name=name,
            attributes={"app": {"name": "Accode Proxy", "uid": self.instance}},
            extra={
                "chain": what,
                "file": self.file,
                "schema": VERSION,
                "instance": self.instance,
                "key": self._key_id,
                "previous_signed": self.signed,
                **more,
            },
            time=time,
        )
        sequence = self.sequence + 1
        text = event_text(event, time)
        blank = join_event(text, sequence, self.prev, signature="")
        signature = base64.b64encode(self._key.sign(DOMAIN + blank)).decode()
        line = self.link(join_event(text, sequence, self.prev, signature))
        self.signed = sequence
        return line
