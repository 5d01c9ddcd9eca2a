"""Who may log in to the test MySQL and MariaDB servers, and how a data source gets there.

One account for each authentication plug-in that a server has. Every password is unlike
every other, so that a test that finds one anywhere knows whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Leg = Literal["verified", "certificate", "pinned", "plain"]
"""TLS with the server's certificate checked; the same with a client certificate; no TLS,
with the server's RSA key pinned; no TLS.
"""


@dataclass(frozen=True, slots=True)
class Account:
    """``method``: the plug-in's name on the wire. ``identified``: how CREATE USER says it."""

    name: str
    password: str
    method: str
    identified: str
    leg: Leg

    @property
    def creation_sql(self) -> str:
        """Make the user, from anywhere."""
        return f"CREATE USER {self.name}@'%' {self.identified}"


def _mysql(name: str, password: str, method: str, leg: Leg) -> Account:
    identified = f"IDENTIFIED WITH {method} BY '{password}'"
    if leg == "certificate":
        identified += " REQUIRE X509"
    return Account(name, password, method, identified, leg)


def _mariadb(name: str, password: str, plugin: str, leg: Leg, method: str = "") -> Account:
    identified = f"IDENTIFIED VIA {plugin} USING PASSWORD('{password}')"
    if leg == "certificate":
        identified += " REQUIRE X509"
    return Account(name, password, method or plugin, identified, leg)


_SHA2 = "caching_sha2_password"
_NATIVE = "mysql_native_password"

# MySQL 9 has no other: mysql_native_password is gone, and what asks for a password in the
# clear (PAM, LDAP) is not in the free edition.
MYSQL = (
    _mysql("sha2", "Sha2-41b7e9-Plover", _SHA2, "verified"),
    _mysql("sha2_pinned", "Sha2-90ac3d-Avocet", _SHA2, "pinned"),
    _mysql("sha256", "Sha256-5d22f8-Dunlin", "sha256_password", "verified"),
    _mysql("sha256_pinned", "Sha256-e8130b-Curlew", "sha256_password", "pinned"),
    _mysql("x509", "X509-7ce416-Turnstone", _SHA2, "certificate"),
    Account("unlocked", "", _SHA2, f"IDENTIFIED WITH {_SHA2} BY ''", "verified"),
)
MARIADB_OLD = (
    _mariadb("native", "Native-1f90d2-Teal", _NATIVE, "verified"),
    _mariadb("ed25519", "Ed25519-b6e7a4-Gadwall", "ed25519", "plain", "client_ed25519"),
)
MARIADB = (
    *MARIADB_OLD,
    _mariadb("native_plain", "Native-c83b70-Wigeon", _NATIVE, "plain"),
    _mariadb("parsec", "Parsec-2e5f1c-Pintail", "parsec", "verified"),
    _mariadb("parsec_plain", "Parsec-d40a96-Garganey", "parsec", "plain"),
    _mariadb("sha2", "Sha2-6a17f5-Pochard", _SHA2, "verified"),
    _mariadb("sha2_pinned", "Sha2-f3c98e-Scaup", _SHA2, "pinned"),
    _mariadb("x509", "X509-08d5b1-Smew", "ed25519", "certificate", "client_ed25519"),
    Account(
        "either",
        "Either-57ae03-Goldeneye",
        "client_ed25519",
        "IDENTIFIED VIA ed25519 USING PASSWORD('Either-57ae03-Goldeneye')"
        " OR mysql_native_password USING PASSWORD('another')",
        "plain",
    ),
    # A plug-in of MariaDB's own test suite, which compares what it gets with this text.
    Account(
        "clear",
        "Clear-9b24ce-Goosander",
        "mysql_clear_password",
        "IDENTIFIED VIA cleartext_plugin_server USING 'Clear-9b24ce-Goosander'",
        "verified",
    ),
    Account("unlocked", "", _NATIVE, f"IDENTIFIED VIA {_NATIVE}", "verified"),
)
