"""What a server connection that many clients share has prepared, under names of ours.

A client's name means nothing there: two clients may give one name to different texts, and
one text has many names. So each text has one name for all of a pool, and each connection a
bounded set of them. Whether a connection has one is not always certain: a Parse or a Close
may be on its way, may fail, or be skipped with the rest of its pipeline. What is in doubt is
closed and parsed again, which is right in either case: to close what is not there is no
error ("Extended Query" in the manual). Must never know bytes on the wire, or clients.

Plain Python; compiled with the types in ``pooled.pxd``.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from protocols.postgres.session_settings import Settings

if TYPE_CHECKING:
    from protocols.postgres.ledger import Expected

PREFIX: Final = b"accode_"
STATEMENTS: Final = 200
"""Statements that a connection keeps prepared: PgBouncer's default, in the server's memory."""

_DOUBTFUL: Final = -1
_KNOWN_SETTINGS: Final = 1_000


class Text:
    """A statement's text and types as they stand in a Parse, and its name at every server.

    ``body`` is None where it is too long to be kept: only the connection that has it can run
    it. ``epoch`` grows when a plan of it was refused as outdated, and all are to be remade.
    """

    def __init__(self, name: bytes, body: bytes | None) -> None:
        self.name = name
        self.body = body
        self.epoch = 0


class Texts:
    """The texts of one pool: each is known while a client or a connection has it. And the
    settings that its servers report.
    """

    def __init__(self) -> None:
        self._texts: WeakValueDictionary[bytes, Text] = WeakValueDictionary()
        self._count = 0
        self._settings: dict[Settings, Settings] = {}

    def one_of(self, settings: Settings) -> Settings:
        """One object for all that are equal: each transaction compares two."""
        if len(self._settings) >= _KNOWN_SETTINGS:
            self._settings.clear()
        return self._settings.setdefault(settings, settings)

    def find(self, body: bytes) -> Text:
        """The text with this body, for all of the pool."""
        text = self._texts.get(body)
        if text is None:
            text = self._texts[body] = Text(self._name(), body)
        return text

    def make_long(self) -> Text:
        """One that cannot be prepared again."""
        return Text(self._name(), None)

    def _name(self) -> bytes:
        # Never used again: what a connection has under it is this text or nothing.
        self._count += 1
        return PREFIX + b"%d" % self._count


class ServerStatements:
    """What one connection has prepared, the one used last at the end; at most ``limit``."""

    def __init__(self, limit: int = STATEMENTS) -> None:
        # The epoch in which it was parsed; or the Parse that is on its way; or doubtful.
        self._states: OrderedDict[Text, Expected | int] = OrderedDict()
        # Those whose Close is on its way.
        self._leaving: dict[Text, Expected] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._states)

    def has(self, text: Text, segment: int) -> bool:
        """Whether what is sent now will find it: it is there, or stands before in the same
        pipeline, so that an error which takes it along takes this along too.
        """
        state = self._states.get(text)
        if state is None:
            return False
        self._states.move_to_end(text)
        if isinstance(state, int):
            return state == text.epoch
        return state.segment == segment

    def may_have(self, text: Text) -> bool:
        """Whether it is to be closed before it is parsed."""
        return text in self._states or text in self._leaving

    def send_parse(self, text: Text, entry: Expected) -> None:
        """A Parse of it is on its way."""
        self._leaving.pop(text, None)
        self._states[text] = entry
        self._states.move_to_end(text)

    def send_close(self, text: Text, entry: Expected) -> None:
        """A Close of it is on its way."""
        self._states.pop(text, None)
        self._leaving[text] = entry

    def excess(self) -> Text | None:
        """One too many, the one that was not used for longest; None where there is room."""
        if len(self._states) <= self._limit:
            return None
        return next(iter(self._states))

    def all(self) -> list[Text]:
        """Everything that may be there."""
        return [*self._states, *self._leaving]

    def confirm_parse(self, text: Text, entry: Expected) -> None:
        """The server has parsed it."""
        if self._states.get(text) is entry:
            self._states[text] = text.epoch

    def confirm_close(self, text: Text, entry: Expected) -> None:
        """The server has it no more."""
        if self._leaving.get(text) is entry:
            del self._leaving[text]

    def lose_parse(self, text: Text, entry: Expected) -> None:
        """The Parse has failed, or was skipped: an older one may still be there."""
        if self._states.get(text) is entry:
            self._states[text] = _DOUBTFUL

    def lose_close(self, text: Text, entry: Expected) -> None:
        """The Close was skipped."""
        if self._leaving.get(text) is entry:
            del self._leaving[text]
            self._states[text] = _DOUBTFUL
            self._states.move_to_end(text, last=False)

    def doubt_all(self) -> None:
        """A statement that may remove some, or all, is on its way."""
        for text in self._states:
            self._states[text] = _DOUBTFUL

    def forget_doubtful(self) -> None:
        """What was there before that statement is there no more."""
        for text in [text for text, state in self._states.items() if state == _DOUBTFUL]:
            del self._states[text]


class ServerMemory:
    """What one connection holds between two clients: statements, and the settings it reports
    as they are after its login. ``settings`` are those that its last client had set.
    """

    def __init__(self, parameters: Settings, limit: int = STATEMENTS) -> None:
        self.parameters = parameters
        self.settings: Settings = ()
        self.statements = ServerStatements(limit)


NOWHERE: Final = ServerMemory(())
"""Of a session that has no connection now."""
