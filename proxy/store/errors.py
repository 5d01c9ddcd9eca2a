"""What the store says when it says no. Knows no driver and no SQL.

Every text is one clear sentence for whoever manages the proxy, and holds no
connection string, no password and nothing a driver wrote.
"""

from __future__ import annotations


class StoreError(Exception):
    """Any refusal or failure of the store."""


class StoreUnavailable(StoreError):
    """The store's database did not answer, or not in time; nothing is wrong with the request."""


class StoreCorrupt(StoreUnavailable):
    """The store holds a row that cannot be read; whatever needed it is refused."""


class StoreUnusable(StoreError):
    """The store cannot be opened as it is: its URL, its file's mode, or its schema's version."""


class NotFound(StoreError):
    """No such object in this workspace. Another workspace's object gives the same answer."""


class AlreadyExists(StoreError):
    """The name is taken."""


class Conflict(StoreError):
    """Somebody else changed the object meanwhile; read it again."""


class LimitReached(StoreError):
    """One more of these would be more than a workspace may hold."""


class InvalidSetting(StoreError):
    """A value is refused. ``field`` names it, in the words of the command line and the API."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidName(InvalidSetting):
    """A workspace's or a source's name breaks the grammar of names."""


class InvalidToken(StoreError):
    """The text is no token of ours: wrong shape, or a checksum that does not match."""


class RoutingChangeNeedsSecret(StoreError):
    """A source's destination changed and the secret was not given again.

    The stored credential is sealed to its destination, so it could not be opened for
    the new one; refusing says so before the old one is lost.
    """
