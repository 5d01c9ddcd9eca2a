"""Every form in which a secret might be written, and the search for them.

Knows encodings; knows no proxy. A form is searched as bytes in whatever was captured.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

_HOLE = re.compile(rb"\0{64,}")

SHORTEST = 8
"""Bytes of the shortest form worth searching: less is found by chance."""


@dataclass(frozen=True)
class Canary:
    """A secret, and what can be derived from it alone.

    ``users``: whose password it is, for PostgreSQL's md5. ``scram``: salts and counts
    under which a server or the store knows it. ``at_home``: ends of the names of the
    captured files that are there to hold it. ``verifiers_at_home``: the same for what
    is derived of it to check it by. ``also``: forms of its own, by their names.
    ``is_derived``: it is a digest itself, of which nobody makes another.
    """

    name: str
    secret: bytes
    users: tuple[str, ...] = ()
    scram: tuple[tuple[bytes, int], ...] = ()
    at_home: tuple[str, ...] = ()
    verifiers_at_home: tuple[str, ...] = ()
    also: Mapping[str, bytes] = field(default_factory=dict)
    is_derived: bool = False

    def forms(self) -> dict[str, bytes]:
        """Each form's name, and its bytes."""
        found = {"raw": self.secret, **_encodings("", self.secret)}
        if self.is_derived:
            return found
        text = self.secret.decode("latin-1")
        for name, escaped in (
            ("url", quote(text, safe="")),
            ("url with slashes", quote(text)),
            ("form", quote_plus(text)),
            ("json", json.dumps(text)[1:-1]),
            ("json in json", json.dumps(json.dumps(text)[1:-1])[1:-1]),
            ("repr", repr(text)[1:-1]),
            ("sql", text.replace("'", "''")),
        ):
            found[name] = escaped.encode("latin-1")
        found["utf-16"] = text.encode("utf-16-le")
        for name, digest in (
            ("md5", hashlib.md5(self.secret).digest()),
            ("sha1", hashlib.sha1(self.secret).digest()),
            ("sha256", hashlib.sha256(self.secret).digest()),
            # MariaDB's ed25519: the seed of the user's key is the first half.
            ("sha512", hashlib.sha512(self.secret).digest()[:32]),
            *((f"md5 of {user}", hashlib.md5(self.secret + user.encode()).digest())
              for user in self.users),
        ):  # fmt: skip
            found[name] = digest
            found |= _encodings(f"{name} ", digest)
        for salt, iterations in self.scram:
            salted = hashlib.pbkdf2_hmac("sha256", self.secret, salt, iterations)
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            for name, key in (("salted password", salted), ("client key", client_key)):
                found[name] = key
                found |= _encodings(f"{name} ", key)
        for name, data in self.also.items():
            found[name] = data
            found |= _encodings(f"{name} ", data)
        return {name: form for name, form in found.items() if len(form) >= SHORTEST}

    def verifiers(self) -> dict[str, bytes]:
        """What nobody logs in with, but a guess can be checked by.

        SCRAM's StoredKey and ServerKey; the double hashes that MySQL and the store keep.
        """
        found: dict[str, bytes] = {}
        if self.is_derived:
            return found
        for name, hashed in (("sha1", hashlib.sha1), ("sha256", hashlib.sha256)):
            twice = hashed(hashed(self.secret).digest()).digest()
            found[f"{name} of {name}"] = twice
            found |= _encodings(f"{name} of {name} ", twice)
        for salt, iterations in self.scram:
            salted = hashlib.pbkdf2_hmac("sha256", self.secret, salt, iterations)
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            for name, key in (
                ("stored key", hashlib.sha256(client_key).digest()),
                ("server key", hmac.digest(salted, b"Server Key", "sha256")),
            ):
                found[name] = key
                found |= _encodings(f"{name} ", key)
        return found


def _encodings(prefix: str, data: bytes) -> dict[str, bytes]:
    found = {
        f"{prefix}hex": data.hex().encode(),
        f"{prefix}HEX": data.hex().upper().encode(),
        f"{prefix}hex, colons": data.hex(":").encode(),
    }
    for offset in range(3):
        # Characters that also hold bits of a neighbour are left off at both ends.
        first = -(-offset * 8 // 6)
        last = (offset + len(data)) * 8 // 6
        for kind, encode in (
            ("base64", base64.standard_b64encode),
            ("base64url", base64.urlsafe_b64encode),
        ):
            found[f"{prefix}{kind} at {offset}"] = encode(b"\0" * offset + data)[first:last]
    return found


class Evidence:
    """All that was captured: each piece under a name that says where it came from."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, bytes]] = []

    def add(self, name: str, data: bytes | str) -> None:
        """Keep a piece. The holes of a sparse file are shortened: no form is all zeros."""
        raw = data.encode() if isinstance(data, str) else data
        self._pieces.append((name, _HOLE.sub(bytes(64), raw)))

    @property
    def names(self) -> list[str]:
        """Where the pieces came from."""
        return [name for name, _ in self._pieces]

    def text(self, part: str) -> str:
        """All pieces whose name contains ``part``, for checks that they say anything."""
        return "\n".join(
            data.decode("utf-8", "replace") for name, data in self._pieces if part in name
        )

    def leaks(self, canaries: Iterable[Canary]) -> list[str]:
        """One line for each form of a secret found where it must not be."""
        found = []
        for canary in canaries:
            for forms, at_home in (
                (canary.forms(), canary.at_home),
                (canary.verifiers(), canary.verifiers_at_home),
            ):
                for name, data in self._pieces:
                    if at_home and name.endswith(at_home):
                        continue
                    found += [
                        f"{canary.name} as {form} in {name}"
                        for form, needle in forms.items()
                        if needle in data
                    ]
        return found
