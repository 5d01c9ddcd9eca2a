"""``accode-proxy serve``: run until told to stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from proxy import logs
from proxy.commands.frame import Command, CommandError, Invocation, everywhere
from proxy.config import Config
from proxy.gateway.loop import SessionLoop
from proxy.notify import Notifier, to_service_manager
from proxy.parts import MOST_WORKERS, with_workers
from proxy.preflight import examine, raise_descriptor_limit


@click.command(
    cls=Command,
    examples=(
        "accode-proxy serve",
        "accode-proxy serve --config /etc/accode/accode.toml --workers 4",
        "ACCODE_PROXY_LOGS__FORMAT=json accode-proxy serve",
    ),
)
@click.option(
    "--workers",
    type=click.IntRange(0, MOST_WORKERS),
    help="Processes that serve together; 0: one for each core.  [default: workers.count, 0]",
)
@everywhere
def serve(invocation: Invocation, workers: int | None) -> None:
    """Run the proxy. SIGTERM: end at the sessions' next idle point; twice: end at once.

    With several workers, SIGHUP starts new ones with the configuration as it is then, and
    lets the old ones drain; no connection is refused.
    """
    config, text = invocation.read_config()
    config = with_workers(config, workers)
    notifier = to_service_manager()
    if config.workers.count > 1:
        logs.configure(config.logs.format, config.logs.level)
        raise_descriptor_limit(config)
        asyncio.run(_supervise(invocation.file, config, text, notifier))
        return
    findings = examine(config)
    for finding in findings:
        if finding.is_error:
            raise CommandError(finding.sentence)
    writer = logs.configure(config.logs.format, config.logs.level)
    log = logs.get_logger("serve")
    for finding in findings:
        log.warning(finding.sentence)
    raise_descriptor_limit(config)
    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        runner.get_loop().set_exception_handler(logs.loop_exception_handler)
        runner.run(_serve(config, writer, notifier))


async def _supervise(file: Path, config: Config, text: str, notifier: Notifier) -> None:
    from proxy.workers.supervisor import Supervisor

    asyncio.get_running_loop().set_exception_handler(logs.loop_exception_handler)
    await Supervisor(file, config, text, notifier).run()


async def _serve(config: Config, writer: logs.LineWriter, notifier: Notifier) -> None:
    from proxy.app import App
    from proxy.serve import serve as serve_app

    def started(app: App) -> None:
        app.metrics.read_log_lines_lost = lambda: writer.lost

    await serve_app(config, notifier=notifier, started=started)
