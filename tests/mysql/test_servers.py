"""The real servers are what these tests believe, and every login method of theirs is tried."""

from __future__ import annotations

from typing import Any

import pymysql
import pytest

from tests.servers.sql import NUMBERS, SqlServer
from tests.servers.sql_accounts import Account

# Not for a stored password: refused, each with its reason, in test_authentication.
REFUSED = {"mysql_old_password", "unix_socket", "test_plugin_server"}


@pytest.fixture(params=["mariadb", "new_mariadb", "mysql"])
def server(request: pytest.FixtureRequest) -> SqlServer:
    found: SqlServer = request.getfixturevalue(request.param)
    return found


def connect(server: SqlServer, account: Account, **changes: Any) -> Any:
    words = {"user": account.name, "password": account.password, "database": server.database}
    return pymysql.connect(host=server.host, port=server.port, **(words | changes))


def test_an_account_for_every_plug_in_that_the_server_offers(server: SqlServer):
    rows = server.administer(
        "SELECT plugin_name FROM information_schema.plugins"
        " WHERE plugin_type = 'AUTHENTICATION' AND plugin_status = 'ACTIVE'"
    )
    tried = {account.identified.split()[2] for account in server.accounts}
    assert {name for (name,) in rows} - REFUSED == tried


def test_the_newer_servers_are_new_enough(mysql: SqlServer, new_mariadb: SqlServer):
    for server, oldest in ((mysql, (9, 7)), (new_mariadb, (11, 8))):
        ((version,),) = server.administer("SELECT VERSION()")
        assert tuple(int(part) for part in version.split(".")[:2]) >= oldest


def test_a_certificate_is_asked_for_where_it_should_be(new_mariadb: SqlServer, mysql: SqlServer):
    for server in (new_mariadb, mysql):
        account, made = server.account("x509"), server.certificates
        with pytest.raises(pymysql.err.OperationalError, match="1045"):
            connect(server, account, ssl_ca=str(made.ca))
        mine = {"ssl_cert": str(made.certificate("client")), "ssl_key": str(made.key("client"))}
        with connect(server, account, ssl_ca=str(made.ca), **mine) as session:
            cursor = session.cursor()
            cursor.execute("SELECT COUNT(*), MIN(seq), MAX(seq) FROM numbers")
            assert cursor.fetchall() == ((NUMBERS, 1, NUMBERS),)
