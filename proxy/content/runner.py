"""The runner: takes queued runs and due schedules, and sees each run to its end.

Several runners may share a store. What keeps them apart is in the store: a due time is
moved on by one of them, a queued run is claimed by one of them, and a claim holds as long
as its lease is renewed. A runner that cannot renew stops its own runs before others give
them up; a run that was given up is ``lost``, and is not run again by itself.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from proxy.administration.tokens import revoke_token
from proxy.administration.trail import Trail, TrailError
from proxy.audit.events import CREATE, UPDATE
from proxy.audit.ocsf import Status
from proxy.content.document import filled
from proxy.content.entrance import Entrance, visit_name
from proxy.content.executing import Execution, WorkflowFailed, World
from proxy.content.problems import ContentRefused
from proxy.content.runs import drafted_run, run_event, with_parameters
from proxy.content.schedules import decide
from proxy.content.sessions import OPENERS, Open
from proxy.content.values import plain
from proxy.content.visits import visiting
from proxy.content.webhook import Caller
from proxy.content.workflow import Workflow
from proxy.logs import get_logger
from proxy.store import Store, StoreError, Workspace, new_id
from proxy.store.contents import Run, RunStatus, StoredDocument

POLL_SECONDS: Final = 0.4
"""Between two looks at the store: a cancel is noticed within a second."""
_TOKEN_SLACK: Final = timedelta(minutes=2)
"""How long a run's token outlives its time limit, where nobody is left to revoke it."""
_SAFE_SHARE: Final = 0.8
"""Of a lease: not renewed for longer, a runner stops its runs while they are still its own."""

LOST = "the runner of this run has not been heard of in time"


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """``lease`` in seconds; see ``RunnerConfig``."""

    runs: int = 8
    runs_per_workspace: int = 2
    lease: float = 15.0


@dataclass(frozen=True, slots=True)
class RunDesk:
    """A ``Desk`` for what the runner does in a run's name."""

    store: Store
    trail: Trail
    actor: str
    warn: Callable[[str], None]


@dataclass(slots=True)
class _Local:
    """A run of this runner. ``stopped``: what to say of it where its work was cancelled."""

    run: Run
    work: asyncio.Task[None]
    supervisor: asyncio.Task[None] | None = None
    stopped: tuple[RunStatus, str] | None = None

    def stop(self, status: RunStatus, error: str) -> None:
        if self.stopped is None:
            self.stopped = (status, error)
            self.work.cancel()


CallerOf = Callable[[Workspace], Caller]


@dataclass(slots=True)
class Runner:
    """One runner. ``run`` until told to stop."""

    store: Store
    trail: Trail
    entrance: Entrance
    caller_of: CallerOf
    settings: RunnerSettings = field(default_factory=RunnerSettings)
    id: str = field(default_factory=new_id)
    is_proxy_up: Callable[[], Any] | None = None
    openers: dict[str, Open] = field(default_factory=lambda: dict(OPENERS))
    _local: dict[str, _Local] = field(default_factory=dict)
    _renewed: float = 0.0
    _is_draining: bool = False

    async def run(self, stop: asyncio.Event, drain_seconds: float = 30.0) -> None:
        """Work until ``stop`` is set, then let runs end for ``drain_seconds``."""
        self._renewed = self._now()
        while not stop.is_set():
            await self.look()
            await _wait(stop, POLL_SECONDS)
        await self.drain(drain_seconds)

    async def look(self) -> None:
        """One look at the store and what follows from it. Never raises StoreError."""
        try:
            await self._keep_leases()
            await self._obey()
            if not self._is_draining:
                await self._give_up_lost()
                await self._fire()
                await self._claim()
        except StoreError as error:
            log.warning("store unavailable", reason=str(error))
            self._stop_stale()

    async def drain(self, seconds: float) -> None:
        """Take nothing new; wait for what runs, then stop it."""
        self._is_draining = True
        deadline = self._now() + seconds
        while self._local and self._now() < deadline:
            await self.look()
            await asyncio.wait(self._supervisors(), timeout=POLL_SECONDS)
        for local in self._local.values():
            local.stop("cancelled", "the runner was stopped")
        while self._local:
            await asyncio.wait(self._supervisors())

    @property
    def running(self) -> tuple[str, ...]:
        """The ids of the runs that it has."""
        return tuple(self._local)

    # --- leases and cancelling ---------------------------------------------------------

    async def _keep_leases(self) -> None:
        if not self._local or self._now() - self._renewed < self.settings.lease / 3:
            return
        began = self._now()
        await self.store.content.renew(self.id, self._lease)
        self._renewed = began

    def _stop_stale(self) -> None:
        if self._now() - self._renewed > self.settings.lease * _SAFE_SHARE:
            for local in self._local.values():
                local.stop("lost", "the store could not be reached, so the run was stopped")

    async def _obey(self) -> None:
        if not self._local:
            return
        held = await self.store.content.held(self.id)
        for run_id, local in self._local.items():
            if run_id not in held:
                local.stop("lost", "the run was taken away")
            elif held[run_id] is not None:
                local.stop("cancelled", f"cancelled by {held[run_id]}")

    async def _give_up_lost(self) -> None:
        for run in await self.store.content.mark_lost(LOST):
            log.warning("run lost", run=run.id, workflow=run.workflow)
            await self._record(run, "lost", LOST)
            workspace = await self.store.workspace_of(run.workspace_id)
            await self._revoke(run, workspace)

    # --- schedules ---------------------------------------------------------------------

    async def _fire(self) -> None:
        for document in await self.store.content.due():
            await self._fire_one(document)

    async def _fire_one(self, document: StoredDocument) -> None:
        now = self.store.content.now()
        run = None
        following = None
        try:
            workflow = Workflow.read(document.body)
            schedule = workflow.schedule
            if schedule is not None and document.due_at is not None:
                decision = decide(
                    schedule.cron, schedule.zone, schedule.missed, document.due_at, now
                )
                following = decision.next
                if decision.due is not None:
                    run = drafted_run(
                        document,
                        now,
                        trigger="schedule",
                        triggered_by="schedule",
                        due_at=decision.due,
                    )
                    run = with_parameters(run, filled(workflow.parameters, {}))
        except (ContentRefused, ValueError) as error:
            log.error("schedule unusable", workflow=document.name, reason=str(error))
        try:
            await self.store.content.fire(document, following, run)
        except StoreError as error:
            # Its queue is full: this time is passed over, not waited for.
            log.warning("schedule not fired", workflow=document.name, reason=str(error))
            await self.store.content.fire(document, following, None)

    # --- runs --------------------------------------------------------------------------

    async def _claim(self) -> None:
        free = self.settings.runs - len(self._local)
        if free <= 0:
            return
        queued = await self.store.content.queued(self.settings.runs_per_workspace)
        if not queued or not await self._can_enter():
            return
        for run in queued:
            if free <= 0:
                return
            is_ours = await self.store.content.claim(
                run, self.id, self._lease, self.settings.runs_per_workspace
            )
            if is_ours:
                if not self._local:
                    self._renewed = self._now()
                free -= 1
                self._begin(run)

    async def _can_enter(self) -> bool:
        """Whether the proxy is there: without it a run could only fail."""
        return True if self.is_proxy_up is None else bool(await self.is_proxy_up())

    def _begin(self, run: Run) -> None:
        job = _Job(self, run)
        local = _Local(run, asyncio.create_task(job.work(), name=f"run {run.id}"))
        local.supervisor = asyncio.create_task(
            self._supervise(local, job), name=f"supervise {run.id}"
        )
        self._local[run.id] = local

    async def _supervise(self, local: _Local, job: _Job) -> None:
        try:
            await asyncio.wait({local.work})
            status, error = _outcome(local)
            await self._end(local.run, status, error, job.steps())
        finally:
            del self._local[local.run.id]

    async def _end(self, run: Run, status: RunStatus, error: str, steps: str) -> None:
        try:
            is_ended = await self.store.content.end(run, self.id, status, error=error, steps=steps)
        except StoreError as failure:
            log.error("run's end not stored", run=run.id, reason=str(failure))
            is_ended = True
        log.info("run ended", run=run.id, workflow=run.workflow, status=status)
        if is_ended:
            await self._record(run, status, error)

    async def _record(self, run: Run, status: RunStatus, error: str) -> None:
        event = replace(
            run_event(run, UPDATE, f"workflow:{run.workflow}", {"status": status}),
            status=Status.SUCCESS if status == "succeeded" else Status.FAILURE,
            message=f"workflow run {status}",
        )
        try:
            await self.trail.record(event)
        except TrailError as failure:
            log.error("run's end not recorded", run=run.id, reason=str(failure))

    async def _revoke(self, run: Run, workspace: Workspace) -> None:
        desk = self.desk(run)
        for token in await self.store.list_tokens(workspace):
            if token.label == token_label(run) and token.revoked_at is None:
                try:
                    await revoke_token(desk, workspace, token.id)
                except (StoreError, TrailError) as failure:
                    log.warning("token not revoked", run=run.id, reason=str(failure))

    def desk(self, run: Run) -> RunDesk:
        """To change what a run needs changed, in its name."""
        actor = f"workflow:{run.workflow} run:{run.id}"
        return RunDesk(
            self.store, self.trail, actor, lambda text: log.warning("run", run=run.id, note=text)
        )

    def _supervisors(self) -> list[asyncio.Task[None]]:
        return [local.supervisor for local in self._local.values() if local.supervisor is not None]

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class _Job:
    """The work of one run: its token, its sessions, its steps."""

    def __init__(self, runner: Runner, run: Run) -> None:
        self._runner = runner
        self._run = run
        self._execution: Execution | None = None

    async def work(self) -> None:
        """From the first record to the last step. Raises RunFailed."""
        runner, run = self._runner, self._run
        document = await runner.store.content.document_of(run)
        workspace = await runner.store.workspace_of(run.workspace_id)
        if document is None:
            raise RunFailed("the workflow is gone")
        workflow = Workflow.read(document.body)
        await runner.trail.record(
            replace(
                run_event(
                    run,
                    CREATE,
                    run.triggered_by,
                    {"status": "running", "trigger": run.trigger, "version": run.version},
                ),
                message="workflow run started",
            )
        )
        loop = asyncio.get_running_loop()
        # The token's text is in this process's memory alone, and ends with the run.
        async with visiting(
            runner.desk(run),
            runner.entrance,
            workspace,
            label=token_label(run),
            name=visit_name("workflow", run.workflow, run.id),
            lifetime=timedelta(seconds=workflow.time_limit_seconds) + _TOKEN_SLACK,
            openers=runner.openers,
        ) as statements:
            self._execution = Execution(
                workflow,
                World(
                    statements,
                    runner.caller_of(workspace),
                    asyncio.sleep,
                    loop.time,
                    random.SystemRandom().random,
                ),
                json.loads(run.parameters),
                {
                    "id": run.id,
                    "workflow": run.workflow,
                    "started_at": plain(runner.store.content.now()),
                    "due_at": plain(run.due_at),
                },
            )
            try:
                async with asyncio.timeout(workflow.time_limit_seconds):
                    await self._execution.execute()
            except TimeoutError:
                raise RunFailed(
                    f"the run took longer than {workflow.time_limit_seconds} seconds"
                ) from None

    def steps(self) -> str:
        """The results of its steps, as JSON."""
        if self._execution is None:
            return "[]"
        return json.dumps([result.to_value() for result in self._execution.results.values()])


class RunFailed(Exception):
    """A run failed, not by a step; one sentence."""


def _outcome(local: _Local) -> tuple[RunStatus, str]:
    if local.stopped is not None and (local.work.cancelled() or local.work.exception()):
        return local.stopped
    if local.work.cancelled():
        return "cancelled", "the runner was stopped"
    error = local.work.exception()
    if error is None:
        return "succeeded", ""
    if isinstance(error, (WorkflowFailed, RunFailed, StoreError, ContentRefused)):
        return "failed", str(error)
    if isinstance(error, TrailError):
        return "failed", "the run's beginning could not be recorded, so nothing was run"
    log.error("run broke", run=local.run.id, error=type(error).__name__, exc_info=error)
    return "failed", f"an unexpected {type(error).__name__}; this is a bug of accode-proxy"


def token_label(run: Run) -> str:
    """What a run's token is called in lists."""
    return f"run {run.id}"


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


log = get_logger("runner")
