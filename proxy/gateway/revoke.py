"""Changes of the store cut the sessions that they must cut.

A session goes on only while its workspace is active, its token live, and its source is
still where it was when the session was opened, and its policy the same: what was let
through by the old one may stand prepared in it. A rotated password cuts nothing: the
server has already let the session in.
"""

from __future__ import annotations

import asyncio

from policies.effective import EffectivePolicy
from protocols.errors import Reason, Refusal
from proxy.gateway.authenticate import Authenticator
from proxy.gateway.live import LiveSessions
from proxy.gateway.live_session import LiveSession
from proxy.standing import tell
from proxy.store.records import Change, ChangeKind
from proxy.store.sources import is_same_place

# Between two questions to a store that does not answer.
RETRY_SECONDS = 0.25

# The kinds of change that can end a session.
_ENDING = frozenset(
    {ChangeKind.WORKSPACE, ChangeKind.TOKEN, ChangeKind.SOURCE, ChangeKind.EVERYTHING}
)


class Revoker:
    """Looks at the sessions that a change concerns."""

    def __init__(self, live: LiveSessions, authenticator: Authenticator) -> None:
        self._live = live
        self._authenticator = authenticator
        self._tasks: set[asyncio.Task[None]] = set()

    def changed(self, change: Change) -> None:
        """A change has happened; called in the loop, must not block."""
        if change.kind not in _ENDING:
            return
        concerned = [
            session
            for session in self._live
            if change.kind is ChangeKind.EVERYTHING
            or session.grant.workspace_id == change.workspace_id
        ]
        if concerned:
            task = asyncio.create_task(self._review(concerned), name="review sessions")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End every review under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _review(self, sessions: list[LiveSession]) -> None:
        for session in sessions:
            try:
                why = await self._answer(session)
            except Exception as error:  # noqa: BLE001
                # A bug of ours must let neither this session live on unseen nor those behind it.
                tell("a session could not be reviewed", error)
                why = "the rights of this session could not be checked; log in again"
            if why is not None:
                self._live.cut(session, Refusal(Reason.SESSION_ENDED, why))

    async def _answer(self, session: LiveSession) -> str | None:
        """Why a session must end, or None. While the store is gone it goes on, and is asked
        about again and again: one read that fails must not let a revoked session live.
        """
        while not session.relay.is_closing:
            try:
                return await self._why_not(session)
            except Refusal:
                await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _why_not(self, session: LiveSession) -> str | None:
        proved = await self._authenticator.again(session.workspace, session.grant.token_id)
        if proved is None or proved.entry.workspace.id != session.grant.workspace_id:
            return "the workspace or its token may no longer use this session"
        source = await self._authenticator.source(proved, session.source.name)
        if source is None or source.id != session.source.id:
            return "the data source was removed"
        if not is_same_place(source, session.source):
            return "the data source was moved"
        policy = EffectivePolicy.of(proved.entry.workspace.policy, source.policy)
        if policy.digest != session.policy.digest:
            return "the policy of this session has changed; log in again"
        return None
