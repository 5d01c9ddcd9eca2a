"""What a dead process left in the journal, as records of the chain.

Knows the journal and the chain's newest files. Must never guess an outcome: a statement
that was allowed and has no record ended in a way nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxy.audit.chain import Chain
from proxy.audit.context import SessionContext
from proxy.audit.encode import encode_recovered
from proxy.audit.events import session_closed
from proxy.audit.files import recent_statements
from proxy.audit.findings import unknown_session
from proxy.audit.journal import JournalContents, JournaledStatement


def attribute(left: JournalContents) -> dict[int, SessionContext]:
    """The sessions of a journal; one whose constants cannot be read is left out."""
    contexts = {}
    for session, data in left.sessions.items():
        try:
            contexts[session] = SessionContext.from_bytes(data)
        except (ValueError, TypeError):
            continue
    return contexts


def missing(
    folder: Path, left: JournalContents, contexts: dict[int, SessionContext]
) -> list[JournaledStatement]:
    """The journaled statements that have no record in the chain."""
    names = {statement: name_of(statement, contexts) for statement in left.statements}
    written = recent_statements(folder, set(names.values()))
    return [statement for statement in left.statements if names[statement] not in written]


def name_of(statement: JournaledStatement, contexts: dict[int, SessionContext]) -> str:
    """session/number, as the chain's lines name a statement."""
    context = contexts.get(statement.session)
    return f"{context.session_id if context else '?'}/{statement.number}"


def recover(folder: Path, left: JournalContents, chain: Chain, now: float) -> Iterator[bytes]:
    """Lines for what is missing, chained: statements, then the ends of open sessions."""
    contexts = attribute(left)
    for statement in missing(folder, left, contexts):
        context = contexts.get(statement.session)
        if context is None:
            event = unknown_session(statement.number, statement.text_length)
            yield chain.event(event, statement.time)
            continue
        yield chain.link(
            encode_recovered(
                context,
                statement.number,
                statement.time,
                statement.text,
                statement.text_length,
                chain.sequence + 1,
                chain.prev,
            )
        )
    for session in left.open_sessions:
        context = contexts.get(session)
        if context is not None:
            event = session_closed(context, reason="proxy_died", is_recovered=True)
            yield chain.event(event, now)
