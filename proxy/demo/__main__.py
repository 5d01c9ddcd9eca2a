"""``python -m proxy.demo [--once]``. Knows what to say when it cannot run."""

from __future__ import annotations

import asyncio
import sys

import click

from proxy import logs
from proxy.commands.frame import Command
from proxy.demo.show import demo
from proxy.gateway.loop import SessionLoop


@click.command(
    cls=Command, examples=("python -m proxy.demo", "python -m proxy.demo --once", "./run demo")
)
@click.option("--once", is_flag=True, help="Show everything once and stop.")
def main(once: bool) -> None:
    """Start the proxy before a real PostgreSQL and show a query and its audit record."""
    logs.configure("auto", "warning", sys.stderr)
    with asyncio.Runner(loop_factory=SessionLoop) as runner:
        runner.get_loop().set_exception_handler(logs.loop_exception_handler)
        runner.run(demo(once=once))


if __name__ == "__main__":
    main()
