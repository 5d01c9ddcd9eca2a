"""The base of every protocol's scanner: what the relay asks of it for each chunk.

Its own module, compiled with the types in ``scanner.pxd``, so that the relay's calls and
the two questions it has after each of them cost no look-up.
"""

from __future__ import annotations

from protocols.errors import Refusal


class Scanner:
    """The relay's inspector for one session, both directions. Pure and synchronous.

    ``is_crowded``: the client must not be read until the server has answered more.
    ``has_said_goodbye``: the client has asked to end (Terminate, COM_QUIT). Both are kept
    true by ``from_client`` and ``from_server``.

    A scanner whose session has the data source's connection for a transaction only is told
    which one it has (``attach``, ``detach``), and says when it may go: ``is_releasable``,
    kept true by the same two.
    """

    def __init__(self) -> None:
        self.is_crowded = False
        self.has_said_goodbye = False
        self.is_releasable = False

    def from_client(self, data: bytes, now: float) -> bytes:
        """What of the client's bytes (and those held) goes upstream now.

        Raises PeerViolation or Refusal where the session must end.
        """
        return data

    def from_server(self, data: bytes, now: float) -> bytes:
        """What goes to the client now. Raises PeerViolation for a broken upstream."""
        return data

    def needs_server(self, data: bytes) -> int:
        """Whether a server is needed for what the client has sent, between two transactions.

        0: not yet, the first message is not whole. 1: yes. -1: no, and none will be.
        """
        return 1

    def attach(self, memory: object) -> bytes:
        """The session has this connection from now on; what its client is to be told first.

        ``memory`` is the protocol's, of what this connection holds.
        """
        return b""

    def detach(self) -> None:
        """The session has no connection from now on."""

    def refusal(self, refusal: Refusal) -> bytes:
        """The last message to the client, in its place: why its session ends."""
        return b""

    @property
    def goodbye(self) -> bytes:
        """What the client's goodbye is in bytes: the last that ``from_client`` lets through."""
        return b""

    @property
    def has_outstanding(self) -> bool:
        """Whether the server still owes an answer: a statement is running."""
        return False

    @property
    def oldest(self) -> object | None:
        """What the server is answering: the same object until it has; None for nothing."""
        return None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is running, held or half sent, and no transaction is open."""
        return True

    @property
    def is_in_transaction(self) -> bool:
        """Whether a transaction is open, failed or not."""
        return False

    @property
    def client_message_remaining(self) -> int:
        """How many bytes the message that the client is being sent still lacks.

        0: a message of ours may be put into the stream now.
        """
        return 0

    @property
    def is_ended_by_server(self) -> bool:
        """Whether the server has said that it ends the session, and why."""
        return False

    @property
    def is_reusable(self) -> bool:
        """Whether the server's session, once it is reset, can serve another client.

        Nothing is owed, half sent, or in doubt; a transaction may be open.
        """
        return False

    def close(self, now: float) -> None:
        """The session is over: end every open statement as INTERRUPTED."""
