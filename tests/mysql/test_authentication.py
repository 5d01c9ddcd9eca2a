"""Every way a client proves its token, before every way that a real server takes a password."""

from __future__ import annotations

import subprocess
from contextlib import closing
from itertools import count
from typing import Any

import mysql.connector
import pymysql
import pytest

from proxy.store import TlsSettings
from proxy.store.engines import ENGINES
from tests.mysql.conftest import WORKSPACE, Enter, Entrance, add_source
from tests.servers import sql_accounts
from tests.servers.mariadb import program
from tests.servers.sql_accounts import Account
from tests.servers.unpacked import MYSQL
from tests.servers.waiting import wait_until

ACCOUNTS = [("mysql", account) for account in sql_accounts.MYSQL]
ACCOUNTS += [("new_mariadb", account) for account in sql_accounts.MARIADB]
DOORS = [pytest.param(*one, id=f"{one[0]}-{one[1].name}") for one in ACCOUNTS]
WITH_PASSWORD = [
    pytest.param(*one, id=f"{one[0]}-{one[1].name}") for one in ACCOUNTS if one[1].password
]
# The last two are not spoken by the proxy: it has the client switch.
STARTS = ["caching_sha2_password", "mysql_native_password", "sha256_password", ""]
WRONG = "acp_" + "0" * 40


class Client(pymysql.Connection):  # type: ignore[misc]
    """A driver that starts with a plug-in of its own choice, whatever the greeting says."""

    def __init__(self, start: str, **arguments: Any) -> None:
        self._start = start
        super().__init__(**arguments)

    def _get_server_information(self) -> None:
        super()._get_server_information()
        # What PyMySQL does not know it sends as an empty name and an empty proof.
        self._auth_plugin_name = self._start or "unknown"


def log_in(entrance: Entrance, source: str, *, start: str, tls: bool, token: str = "") -> Client:
    """A session of the workspace; raises what the driver raises."""
    place = entrance.route(source, is_encrypted=tls).through(password=token or entrance.token)
    ca = str(entrance.proxy.certificates.ca)
    return Client(start, **place, **({"ssl_ca": ca} if tls else {"ssl_disabled": True}))


def refusal(
    entrance: Entrance, source: str, *, start: str = STARTS[0], tls: bool = True, token: str = ""
) -> tuple[int, str]:
    """The error that a login must end with."""
    with pytest.raises(pymysql.err.MySQLError) as caught:
        log_in(entrance, source, start=start, tls=tls, token=token)
    number, text = caught.value.args
    return number, text


def uses(entrance: Entrance) -> float:
    """How often a stored secret has been opened."""
    return entrance.proxy.metrics()["credential_uses_total{outcome=used}"]


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "clear"])
@pytest.mark.parametrize("start", STARTS, ids=lambda start: start or "unknown")
@pytest.mark.parametrize(("fixture", "account"), DOORS)
def test_the_right_token_opens_and_a_wrong_one_touches_nothing(
    enter: Enter, fixture: str, account: Account, start: str, tls: bool
):
    entrance = enter(fixture)
    before = uses(entrance)
    with (
        closing(log_in(entrance, account.name, start=start, tls=tls)) as session,
        session.cursor() as cursor,
    ):
        cursor.execute("SELECT CURRENT_USER(), COUNT(*) FROM numbers")
        assert cursor.fetchall() == ((f"{account.name}@%", 20_000),)
        cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        ((_, cipher),) = cursor.fetchall()
    assert bool(cipher) == (account.leg in ("verified", "certificate"))
    secrets = bool(account.password) + (account.leg == "certificate")
    assert uses(entrance) == before + secrets

    seen = entrance.server.status("Connections")
    wrong = refusal(entrance, account.name, start=start, tls=tls, token=WRONG)
    assert wrong == (1045, f'password authentication failed for user "{WORKSPACE}"')
    assert uses(entrance) == before + secrets
    # The one more is the question itself.
    assert entrance.server.status("Connections") == seen + 1


@pytest.mark.parametrize(("fixture", "account"), WITH_PASSWORD)
def test_a_wrong_stored_password_is_told_as_the_sources_fault(
    enter: Enter, fixture: str, account: Account
):
    entrance = enter(fixture)
    name = f"wrong-{account.name}"
    add_source(
        entrance.proxy, WORKSPACE, entrance.server, account.name, name=name, password="not it"
    )
    known = wait_for_source(entrance, name)
    assert known[0] == 1429
    # MariaDB asks a user with two plug-ins for the other proof then.
    has_another = " OR " in account.identified
    said = "asked for a second login method" if has_another else "refused the stored credential"
    assert said in known[1]
    assert account.name not in known[1]


def wait_for_source(entrance: Entrance, name: str) -> tuple[int, str]:
    """Its refusal, once the proxy has learnt that the source exists."""
    found: list[tuple[int, str]] = []

    def is_known() -> bool:
        found.append(refusal(entrance, name))
        return found[-1][0] != 1049

    wait_until(is_known, what="the new source to be known")
    return found[-1]


UNVERIFIED = TlsSettings(mode="require")
PLAIN = TlsSettings(mode="disable")
DEFAULT = ENGINES["mysql"].default
_numbers = count(1)


@pytest.mark.parametrize(
    ("fixture", "account", "changes", "sentence"),
    [
        ("new_mariadb", "clear", {"methods": frozenset({"parsec"})}, "does not allow"),
        ("new_mariadb", "clear", {"tls": PLAIN, "methods": DEFAULT}, "does not allow"),
        ("new_mariadb", "parsec", {"methods": frozenset({"client_ed25519"})}, "does not allow"),
        ("new_mariadb", "ed25519", {"methods": frozenset({"parsec"})}, "does not allow"),
        ("new_mariadb", "native", {"methods": frozenset({"parsec"})}, "allowed to it"),
        ("mysql", "sha256", {"methods": frozenset({"parsec"})}, "does not allow"),
        ("mysql", "sha256", {"tls": UNVERIFIED}, "which needs verified TLS or a pinned"),
        ("mysql", "sha256", {"tls": PLAIN}, "which needs verified TLS or a pinned"),
        ("mysql", "x509", {}, "refused the stored credential"),
    ],
)
def test_the_stored_password_goes_no_way_that_is_not_allowed(
    enter: Enter, fixture: str, account: str, changes: dict[str, Any], sentence: str
):
    entrance = enter(fixture)
    entry = entrance.server.account(account)
    if entry.leg == "certificate":
        # The password alone, of a user who must show a certificate too.
        ca = entrance.proxy.certificates.ca.read_text()
        changes = {"tls": TlsSettings(mode="verify-full", ca_pem=ca)}
    name = f"not-allowed-{next(_numbers)}"
    add_source(entrance.proxy, WORKSPACE, entrance.server, account, name=name, **changes)
    number, text = wait_for_source(entrance, name)
    assert number == 1429
    assert sentence in text


def test_a_server_that_has_not_cached_the_user_gets_the_password_only_where_it_is_safe(
    enter: Enter,
):
    entrance = enter("mysql")
    server = entrance.server
    add_source(entrance.proxy, WORKSPACE, server, "sha2", name="sha2-plain", tls=PLAIN)
    server.administer("FLUSH PRIVILEGES")  # empties the cache
    number, text = wait_for_source(entrance, "sha2-plain")
    assert number == 1429
    assert "asks for the whole password" in text
    # A verified session fills the cache; then the proof is enough, also in the clear.
    log_in(entrance, "sha2", start=STARTS[0], tls=True).close()
    log_in(entrance, "sha2-plain", start=STARTS[0], tls=True).close()


@pytest.mark.parametrize(
    ("fixture", "user", "sentence"),
    [
        ("new_mariadb", "IDENTIFIED VIA test_plugin_server USING 'x'", "does not speak"),
        (
            "new_mariadb",
            "IDENTIFIED VIA mysql_old_password USING '7c4ec2ec0e6a5d3b'",
            "does not speak",
        ),
        ("new_mariadb", "IDENTIFIED VIA unix_socket", "refused the stored credential"),
        ("new_mariadb", "{identified} ACCOUNT LOCK", "is locked at its server"),
        # A user with two plug-ins gets a second switch where the first does not know him.
        (
            "new_mariadb",
            "IDENTIFIED VIA ed25519 USING PASSWORD('other') OR mysql_native_password USING"
            " PASSWORD('Sha2-6a17f5-Pochard')",
            "asked for a second login method",
        ),
        ("new_mariadb", "{identified}", "may not use this database"),
        ("mysql", "{identified} ACCOUNT LOCK", "is locked at its server"),
        ("mysql", "{identified} PASSWORD EXPIRE", "password has expired at its server"),
        ("mysql", "{identified}", "may not use this database"),
    ],
)
def test_why_the_server_refuses_a_user_is_told_in_our_words(
    enter: Enter, fixture: str, user: str, sentence: str
):
    entrance = enter(fixture)
    server, name = entrance.server, f"refused_{next(_numbers)}"
    account = server.account("sha2")
    server.administer(f"CREATE USER {name}@'%' {user.format(identified=account.identified)}")
    add_source(entrance.proxy, WORKSPACE, server, "sha2", name=name, username=name)
    number, text = wait_for_source(entrance, name)
    assert number == 1429
    assert sentence in text
    assert name not in text


# --- the drivers' own choice of a plug-in --------------------------------------------------

CLIENTS = ["caching_sha2_password", "mysql_native_password", "sha256_password"]


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "clear"])
@pytest.mark.parametrize("start", CLIENTS)
def test_mysqls_own_client_logs_in_with_any_plug_in(enter: Enter, start: str, tls: bool):
    entrance = enter("mysql")
    plugins = MYSQL.usr / "lib/mysql/plugin"
    client = [*MYSQL.command("bin/mysql"), "--no-defaults", f"--plugin-dir={plugins}"]
    encryption = (
        ["--ssl-mode=VERIFY_IDENTITY", f"--ssl-ca={entrance.proxy.certificates.ca}"]
        if tls
        else ["--ssl-mode=DISABLED", "--get-server-public-key"]
    )
    check_command(entrance, [*client, *encryption, f"--default-auth={start}"])


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "clear"])
@pytest.mark.parametrize("start", ["mysql_native_password", "dialog", "caching_sha2_password"])
def test_mariadbs_own_client_logs_in_with_any_plug_in(enter: Enter, start: str, tls: bool):
    entrance = enter("new_mariadb")
    client = [str(program("mariadb")), "--no-defaults", f"--default-auth={start}"]
    encryption = (
        ["--ssl-verify-server-cert", f"--ssl-ca={entrance.proxy.certificates.ca}"]
        if tls
        else ["--skip-ssl"]
    )
    check_command(entrance, [*client, *encryption])


def check_command(entrance: Entrance, command: list[str]) -> None:
    """The right token shows a row, a wrong one error 1045."""
    place = [f"--host={entrance.proxy.host}", f"--port={entrance.proxy.port}"]
    for token in (entrance.token, WRONG):
        done = subprocess.run(
            [*command, *place, f"--user={WORKSPACE}", "--batch", "-e", "SELECT 7", "sha2"],
            env={"MYSQL_PWD": token},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if token == WRONG:
            assert "ERROR 1045" in done.stderr
        else:
            assert (done.returncode, done.stdout, done.stderr) == (0, "7\n7\n", "")


@pytest.mark.parametrize("start", CLIENTS)
def test_mysql_connector_logs_in_with_any_plug_in(enter: Enter, start: str):
    entrance = enter("mysql")
    place = entrance.route("sha2", is_encrypted=True).through()
    ca = str(entrance.proxy.certificates.ca)
    with mysql.connector.connect(
        **place, ssl_ca=ca, auth_plugin=start, use_pure=True
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 7")
        assert cursor.fetchall() == [(7,)]
