"""Who may log in to the test servers, and how. One role for each method of pg_hba.conf.

Every password is unlike every other, so that a test that finds one anywhere knows
whose it is.
"""

from __future__ import annotations

from dataclasses import dataclass

SUPERUSER = "postgres"
DATABASE = "postgres"


@dataclass(frozen=True, slots=True)
class Role:
    """A role: its password, the method of its pg_hba.conf line, the kind of connection."""

    name: str
    password: str
    method: str
    connection: str = "host"

    @property
    def needs_tls(self) -> bool:
        """Whether a server without TLS cannot have this role's line."""
        return self.connection != "host"


SCRAM = Role("scram_user", "Scram-7f3a91-Heron", "scram-sha-256")
MD5 = Role("md5_user", "Md5-52c8d0-Kestrel", "md5")
CLEAR = Role("clear_user", "Clear-e19b44-Osprey", "password")
CERT = Role("cert_user", "Cert-0d6f27-Merlin", "cert", "hostssl")
TRUST = Role("trust_user", "Trust-a83e65-Harrier", "trust")
TLS_ONLY = Role("tls_user", "Tls-39d7b1-Goshawk", "scram-sha-256", "hostssl")
PLAIN_ONLY = Role("plain_user", "Plain-c402fe-Buzzard", "scram-sha-256", "hostnossl")
ADMIN = Role("admin", "Admin-6b9e13-Condor", "scram-sha-256")

ROLES = (SCRAM, MD5, CLEAR, CERT, TRUST, TLS_ONLY, PLAIN_ONLY, ADMIN)


def hba_lines(*, has_tls: bool) -> str:
    """Return pg_hba.conf: the superuser by Unix socket, each role by its method."""
    lines = ["local all all trust"]
    for role in ROLES:
        if role.needs_tls and not has_tls:
            continue
        lines += [
            f"{role.connection} all {role.name} {network} {role.method}"
            for network in ("127.0.0.1/32", "::1/128")
        ]
    return "\n".join(lines) + "\n"


def creation_sql(database: str = DATABASE, *, superuser: bool = True) -> list[str]:
    """Return the statements that make the roles; ``admin`` is a superuser where allowed."""
    statements = []
    for role in ROLES:
        encryption = "md5" if role.method == "md5" else "scram-sha-256"
        rights = "SUPERUSER" if role is ADMIN and superuser else "NOSUPERUSER"
        statements += [
            f"SET password_encryption = '{encryption}'",
            f"CREATE ROLE {role.name} LOGIN {rights} PASSWORD '{role.password}'",
            f"GRANT ALL ON SCHEMA public TO {role.name}",
            f"GRANT CREATE, TEMPORARY, CONNECT ON DATABASE {database} TO {role.name}",
        ]
    return statements
