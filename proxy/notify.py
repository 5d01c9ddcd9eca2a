"""Tells the service manager how the proxy is: ready, reloading, stopping, alive.

Knows sd_notify(3): datagrams to the unix socket that NOTIFY_SOCKET names. Without that
variable nothing is told and nobody is missed. Never raises: a service manager that does
not listen must not end a session.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

_MOST = 100
# The variables are for the process that was started, not for its workers (sd_notify(3),
# unset_environment).
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


def to_service_manager() -> Notifier:
    """Who started this process as a service, taken out of the environment; or nobody."""
    notifier = Notifier(os.environ, os.getpid())
    for name in _VARIABLES:
        os.environ.pop(name, None)
    return notifier


class Notifier:
    """Says what it is told to. ``close`` ends it.

    ``environment`` may name a socket and how often a sign of life is expected, by the
    process ``pid``.
    """

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        self._socket = _connected(environment.get("NOTIFY_SOCKET", ""))
        self._interval = _watchdog_interval(environment, pid)
        self._timer: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """Sessions are served, from the start or again with a new configuration."""
        self._send("READY=1", "STATUS=Serving.")
        if self._timer is None and self._interval:
            self._beat(asyncio.get_running_loop())

    def reloading(self, now: Callable[[], int] = time.monotonic_ns) -> None:
        """New workers are being started; ``ready`` or ``kept`` says the end of it."""
        # Type=notify-reload wants the time, in microseconds of CLOCK_MONOTONIC.
        self._send("RELOADING=1", f"MONOTONIC_USEC={now() // 1000}", "STATUS=Reloading.")

    def kept(self) -> None:
        """The reload is over and nothing has changed: the new configuration cannot be used."""
        self._send("READY=1", "STATUS=Serving; the last reload was refused, see the log.")

    def stopping(self) -> None:
        """No new sessions are taken and those that are open drain. The watchdog goes on."""
        self._send("STOPPING=1", "STATUS=Draining.")

    def close(self) -> None:
        """Say nothing any more. May be called again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._interval = 0.0
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        # From the loop itself: a loop that stands gives no sign of life.
        self._send("WATCHDOG=1")
        self._timer = loop.call_later(self._interval, self._beat, loop)

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            # Full or gone: the next one says it again, or nobody is there to hear it.
            with suppress(OSError):
                self._socket.send("\n".join(lines).encode())


def _connected(address: str) -> socket.socket | None:
    """A socket to an absolute path, or, with @, to a name in the abstract namespace."""
    if address[:1] not in ("/", "@") or len(address) > _MOST:
        return None
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    try:
        made.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        made.close()
        return None
    return made


def _watchdog_interval(environment: Mapping[str, str], pid: int) -> float:
    """Half of what is allowed (sd_watchdog_enabled(3)), in seconds; 0 where none is wanted."""
    text = environment.get("WATCHDOG_USEC", "")
    wanted = environment.get("WATCHDOG_PID", "")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return 0.0
    if wanted and wanted != str(pid):
        return 0.0
    return int(text) / 2_000_000


NOBODY = Notifier({}, 0)
"""Tells nobody anything."""
