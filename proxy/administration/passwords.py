"""Passwords of people: Argon2id (RFC 9106), off the event loop, a bounded number at once.

The parameters are RFC 9106's second recommended option, three passes over 64 MiB in four
lanes, which is more than OWASP's least. A hash that was made with others is still checked
by its own. Knows no account.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY

from proxy.store.errors import InvalidSetting
from vault import Secret

T = TypeVar("T")

LEAST, MOST = 12, 256
"""Characters. NIST SP 800-63B asks for 8 where there is a second factor; no longer one is
hashed than a sentence has.
"""
DIFFERENT = 5
"""Different characters that a password has at least."""
AT_ONCE = 2
"""Hashes at once: 64 MiB and four threads each."""
WAITING = 16
"""More than may wait for their turn: two seconds' work."""


class TooManyHashes(Exception):
    """Too many passwords are being checked; one sentence."""

    def __init__(self) -> None:
        super().__init__("too many passwords are being checked; try again soon")


class Passwords:
    """Makes and checks hashes. ``hasher``: with cheaper parameters in tests."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._under_way = 0
        # What a password is held against where there is no account: of the same cost.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: Secret) -> str:
        """In PHC's format. Raises TooManyHashes."""
        text = prepared(password)
        return await self._in_turn(lambda: self._hasher.hash(text))

    async def is_right(self, kept: str | None, password: Secret) -> bool:
        """Whether a hash is this password's; with None, no, after the same work.

        Raises TooManyHashes.
        """
        text = prepared(password)

        def check() -> bool:
            try:
                return self._hasher.verify(self._nobody if kept is None else kept, text)
            except (Argon2Error, InvalidHashError):
                return False

        return await self._in_turn(check) and kept is not None

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._under_way >= AT_ONCE + WAITING:
            raise TooManyHashes
        self._under_way += 1
        try:
            # Argon2 gives up the interpreter's lock while it works.
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def prepared(password: Secret) -> bytes:
    """The bytes that are hashed: NFKC (SP 800-63B, 3.1.1.2), so that every keyboard's are one."""
    text = password.reveal().decode("utf-8")
    return unicodedata.normalize("NFKC", text).encode("utf-8")


def check_password(password: Secret, name: str) -> None:
    """Whether it may be set for the account of that name. Raises InvalidSetting, not quoting it."""
    text = prepared(password).decode("utf-8")
    if not LEAST <= len(text) <= MOST:
        raise InvalidSetting("password", f"use {LEAST} to {MOST} characters")
    if len(set(text)) < DIFFERENT:
        raise InvalidSetting("password", f"use at least {DIFFERENT} different characters")
    if name in text.lower():
        raise InvalidSetting("password", "it must not hold the account's name")
