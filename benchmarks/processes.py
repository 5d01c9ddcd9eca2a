"""Child processes of the benchmark: scratch folders, free ports, start, wait, stop.

Knows processes and files. Must never know what the programs do, nor end a process that it did
not start.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# What a child sees of our environment: no PG* variables, no proxies, no preload libraries.
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TZ")

START_SECONDS = 30.0
STOP_SECONDS = 20.0


class BenchmarkError(Exception):
    """Something the benchmark needs is missing or did not work: one sentence for the reader."""


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for a child: the few kept variables, and ``extra``."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return kept | {"LC_ALL": "C"} | dict(extra or {})


@dataclass(frozen=True, slots=True)
class Account:
    """The operating system account that servers refusing to run as root are started as."""

    name: str
    uid: int
    gid: int


def server_account(server: str, name: str) -> Account | None:
    """The account that a server runs as where we are root, None (ourselves) otherwise.

    Raises BenchmarkError.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise BenchmarkError(
            f"{server} does not run as root and there is no account named {name}."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@contextlib.contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """A fresh folder that the server account may enter, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="accode-proxy-bench-", dir=parent))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def owned_folder(path: Path, account: Account | None) -> Path:
    """Make ``path``, mode 0700, belonging to the account."""
    path.mkdir(mode=0o700)
    give(path, account)
    return path


def give(path: Path, account: Account | None) -> None:
    """Hand a file or folder to the account, if there is one."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def free_port() -> int:
    """A loopback TCP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def find_program(name: str, *folders: str) -> str | None:
    """The full path of a program in ``folders``, on PATH or in /usr/sbin; None if absent."""
    path = os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"])
    return shutil.which(name, path=path)


def run(
    command: Sequence[str],
    *,
    seconds: float = 60.0,
    stdin: str | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    account: Account | None = None,
) -> str:
    """Run a short command and return its output. Raises BenchmarkError with its last words."""
    try:
        done = subprocess.run(
            command,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=cwd,
            env=clean_environment(environment),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            check=False,
        )
    except FileNotFoundError:
        raise BenchmarkError(f"{command[0]} is not installed.") from None
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{command[0]} did not end within {seconds:.0f} s.") from None
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise BenchmarkError(
            f"{Path(command[0]).name} failed with status {done.returncode}: {' / '.join(words)}"
        )
    return done.stdout


class Server:
    """One long-running child process, in a session of its own so that only we signal it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=clean_environment(environment),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The id of the process that was started; its children are found from it."""
        return self._process.pid

    def require_alive(self) -> None:
        """Raise BenchmarkError with the last lines of the log if the process has ended."""
        if self._process.poll() is None:
            return
        tail = self._log.read_text(errors="replace").strip().splitlines()[-5:]
        raise BenchmarkError(
            f"{self.name} ended with status {self._process.returncode}: {' / '.join(tail)}"
        )

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Poll until ready. Raises BenchmarkError when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            self.require_alive()
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self.name} was not ready after {seconds:.0f} s.")
            time.sleep(0.02)

    def wait_for_port(self, port: int, seconds: float = START_SECONDS) -> None:
        """Wait until something accepts connections on the loopback port."""
        self.wait_until(lambda: accepts_connections(port), seconds)

    def stop(self) -> None:
        """End the process: its own stop signal first, SIGKILL to its session after a while."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # start_new_session made the child the leader of a group that holds only its own.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_SECONDS)


def accepts_connections(port: int) -> bool:
    """Whether a TCP connection to the loopback port is accepted."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
