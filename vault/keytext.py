"""The text of a local key file. Knows its lines; knows nothing of files.

accode-proxy-key-file 1
seed <64 hex>                    never changes: signing and salt keys derive from it
kek <id> <64 hex>                one line for each KEK, the last one is current
check <64 hex>                   SHA-256 of the lines before: finds a damaged copy
"""

from __future__ import annotations

import hashlib
import hmac
import re

from vault.sealing import derive
from vault.secret import Secret

KEK_LIMIT = 64
"""KEKs in one file: a year of weekly rotation, if none is ever retired."""
KEY_ID_LENGTH = 33

_HEADER = b"accode-proxy-key-file 1"
_SEED = re.compile(rb"seed ([0-9a-f]{64})")
_KEK = re.compile(rb"kek (k[0-9a-f]{32}) ([0-9a-f]{64})")
_CHECK = re.compile(rb"check ([0-9a-f]{64})")
_KEY_ID_LABEL = b"accode-proxy kek id 1"


def encode(seed: Secret, keks: list[Secret]) -> Secret:
    """The text of a key file with this seed and these KEKs, the last one current."""
    lines = [_HEADER, f"seed {seed.reveal().hex()}".encode("ascii")]
    for kek in keks:
        lines.append(f"kek {key_id_of(kek)} {kek.reveal().hex()}".encode("ascii"))
    body = b"\n".join(lines) + b"\n"
    return Secret(body + b"check " + hashlib.sha256(body).hexdigest().encode() + b"\n")


def key_id_of(kek: Secret) -> str:
    """The id of a KEK: derived from it, so that an id can never name another key."""
    return "k" + derive(kek, b"", [_KEY_ID_LABEL], 16).hex()


def decode(text: Secret) -> tuple[Secret, dict[str, Secret]] | None:
    """The seed and the KEKs, or None for anything but a whole key file."""
    lines = text.reveal().split(b"\n")
    if not 5 <= len(lines) <= KEK_LIMIT + 4 or lines[0] != _HEADER or lines[-1] != b"":
        return None
    seed = _SEED.fullmatch(lines[1])
    check = _CHECK.fullmatch(lines[-2])
    if seed is None or check is None:
        return None
    body = b"\n".join(lines[:-2]) + b"\n"
    if not hmac.compare_digest(hashlib.sha256(body).hexdigest().encode(), check[1]):
        return None
    keks: dict[str, Secret] = {}
    for line in lines[2:-2]:
        found = _KEK.fullmatch(line)
        if found is None:
            return None
        kek = Secret(bytes.fromhex(found[2].decode("ascii")))
        if key_id_of(kek) != found[1].decode("ascii") or key_id_of(kek) in keks:
            return None
        keks[key_id_of(kek)] = kek
    return Secret(bytes.fromhex(seed[1].decode("ascii"))), keks
