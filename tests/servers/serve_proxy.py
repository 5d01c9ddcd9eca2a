"""``python -m tests.servers.serve_proxy CONFIG READY``: a proxy in a process of its own.

Writes its ports as JSON to READY once it listens, so that tests may ask for port 0.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from proxy.app import App
from proxy.config import read_config
from proxy.gateway.loop import SessionLoop
from proxy.logs import configure
from proxy.parts import with_workers
from proxy.serve import serve
from proxy.workers.supervisor import Supervisor


def main() -> None:
    """Serve until SIGTERM."""
    config, text = read_config(Path(sys.argv[1]), os.environ)
    config = with_workers(config)
    ready = Path(sys.argv[2])
    configure("json", config.logs.level)

    def tell(listeners: list[int], metrics: int) -> None:
        ports = {"listeners": listeners, "metrics": metrics}
        written = ready.with_suffix(".new")
        written.write_text(json.dumps(ports))
        written.rename(ready)

    def started(app: App) -> None:
        tell([listener.port for listener in app.listeners], app.metrics_port)

    if config.workers.count > 1:
        supervisor = Supervisor(Path(sys.argv[1]), config, text)
        asyncio.run(supervisor.run(lambda it: tell(it.ports, it.metrics_port)))
    else:
        with asyncio.Runner(loop_factory=SessionLoop) as runner:
            runner.run(serve(config, started=started))


if __name__ == "__main__":
    main()
