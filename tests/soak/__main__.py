"""``python -m tests.soak``: run a soak, show how it gets on, write what it found.

Everything it starts is stopped when it ends, also on Ctrl-C.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfile

from tests.soak.completion import bash_script
from tests.soak.options import Options, parse
from tests.soak.progress import Progress
from tests.soak.report import Report
from tests.soak.setting import Unavailable, running
from tests.soak.soak import Soak


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status; see ``options``."""
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    if options.is_completion:
        print(bash_script(), end="")
        return 0
    progress = Progress(sys.stdout)
    # The driver tells of pipelines whose connection was taken away, which is what we do.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        report = run(options, progress)
    except Unavailable as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("soak: interrupted; everything it started is stopped.", file=sys.stderr)
        return 130
    return 0 if report.is_held else 1


def run(options: Options, progress: Progress) -> Report:
    """Start everything, soak, stop everything. Raises Unavailable."""
    # A short path, which the servers' users may enter: a Unix socket's name has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="accode-soak-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        progress.say("Starting the servers and the proxy.")
        with running(folder, only=options.only, workers=options.workers) as setting:
            soak = Soak(options, setting, progress)
            asyncio.run(soak.run())
        for verdict in soak.report.verdicts:
            for line in verdict.lines():
                progress.say(line)
        files = soak.report.write(soak.book, soak.begin)
        if not soak.report.is_held:
            files.append(options.output / "proxy.log")
            copyfile(setting.proxy.log, files[-1])
        progress.say(f"Written: {', '.join(map(str, files))}")
        return soak.report


def _interrupt(_number: int, _frame: object) -> None:
    # A second one must not cut the stopping of the servers short; that is bounded in time.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
