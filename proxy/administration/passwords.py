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
from typing import TypeVar, final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.profiles import RFC_9106_LOW_MEMORY

from proxy.store.errors import InvalidSetting
from vault import Redacted

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


@final
class Password(Redacted):
    """A password that somebody has typed: hashed, compared and judged here, and never shown.

    Not a ``Secret`` of the vault: it is stored nowhere, so nothing needs a door to it.
    """

    __slots__ = ("__text",)
    __text: str

    def __init__(self, typed: str) -> None:
        # NFKC (SP 800-63B, 3.1.1.2), so that every keyboard's are one.
        object.__setattr__(self, "_Password__text", unicodedata.normalize("NFKC", typed))

    def hashed_by(self, hasher: PasswordHasher) -> str:
        """In PHC's format."""
        return hasher.hash(self.__text)

    def is_kept_as(self, kept: str, hasher: PasswordHasher) -> bool:
        """Whether a hash is this password's; what is no hash is nobody's."""
        try:
            return hasher.verify(kept, self.__text)
        except (Argon2Error, InvalidHashError):
            return False

    def check(self, name: str) -> None:
        """Whether it may be set for the account of that name.

        Raises InvalidSetting, not quoting it.
        """
        if not LEAST <= len(self.__text) <= MOST:
            raise InvalidSetting("password", f"use {LEAST} to {MOST} characters")
        if len(set(self.__text)) < DIFFERENT:
            raise InvalidSetting("password", f"use at least {DIFFERENT} different characters")
        if name in self.__text.lower():
            raise InvalidSetting("password", "it must not hold the account's name")


class Passwords:
    """Makes and checks hashes. ``hasher``: with cheaper parameters in tests."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._under_way = 0
        # What a password is held against where there is no account: of the same cost.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: Password) -> str:
        """In PHC's format. Raises TooManyHashes."""
        return await self._in_turn(lambda: password.hashed_by(self._hasher))

    async def is_right(self, kept: str | None, password: Password) -> bool:
        """Whether a hash is this password's; with None, no, after the same work.

        Raises TooManyHashes.
        """
        compared = self._nobody if kept is None else kept
        is_same = await self._in_turn(lambda: password.is_kept_as(compared, self._hasher))
        return is_same and kept is not None

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._under_way >= AT_ONCE + WAITING:
            raise TooManyHashes
        self._under_way += 1
        try:
            # Argon2 gives up the interpreter's lock while it works.
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1
