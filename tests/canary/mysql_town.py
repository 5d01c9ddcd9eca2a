"""A town whose data sources are MariaDB, a real one and one that says what it was told.

The accounts have the plug-ins of MariaDB 10.11 that know a password: mysql_native_password
and ed25519. Those of MySQL, and what sends the whole password, are the fake's.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.canary.forms import Canary
from tests.canary.mysql_capture import WAYS, MysqlRecorder
from tests.canary.town import ROTATED_PASSWORD, Town
from tests.hostile.fake_server import FakeServer, server_context
from tests.hostile.mysql import raw
from tests.hostile.mysql.fake_server import (
    FULL_AUTHENTICATION,
    SCRAMBLE,
    MysqlPeer,
    err,
    greeting,
    switch,
)
from tests.hostile.mysql.raw import MysqlClient, query
from tests.servers.certificates import Certificates
from tests.servers.sql import DATABASE, SqlServer
from tests.servers.waiting import wait_until

# Each holds what escaping changes, and is unlike any other string of the run.
NATIVE_PASSWORD = 'Canary-native "3b90d2/Plover%\\+'
ED25519_PASSWORD = 'Canary-ed25519 "96ec05/Curlew%\\+'
CERT_PASSWORD = 'Canary-x509 "e07a1c/Avocet%\\+'
WRONG_PASSWORD = 'Canary-wrong "51d8f3/Dunlin%\\+'
ECHOED_PASSWORD = 'Canary-echoed "c2746b/Godwit%\\+'

LONG_SCRAMBLE = b"scramble-of-32-bytes-for-a-fake!"
PARSEC_SALT = b"eighteen-byte-salt"

_ACCOUNTS = {
    "canary_native": ("mysql_native_password", NATIVE_PASSWORD, ""),
    "canary_ed25519": ("ed25519", ED25519_PASSWORD, ""),
    "canary_x509": ("mysql_native_password", CERT_PASSWORD, " REQUIRE X509"),
}


def furnish_mariadb(server: SqlServer) -> None:
    """Make the accounts whose passwords are canaries."""
    for name, (plugin, password, demand) in _ACCOUNTS.items():
        literal = password.replace("\\", "\\\\").replace("'", "\\'")
        server.administer(
            f"CREATE USER {name}@'%' IDENTIFIED VIA {plugin} USING PASSWORD('{literal}'){demand}",
            f"GRANT ALL ON *.* TO {name}@'%'",
        )


class MysqlTown(Town):
    """A town whose sources speak MySQL."""

    listener: ClassVar[Mapping[str, Any]] = {"protocol": "mysql", "local_infile": True}
    recorder_type = MysqlRecorder
    recorder: MysqlRecorder
    names = ("native", "plain", "ed25519", "x509", "wrong", "echo", "echo-pinned")
    first = "native"
    landmarks: ClassVar[Mapping[str, str]] = {
        "processlist": "canary_native",
        "bytes to the client of native": "canary_native",
        "audit search": "KILL",
    }

    def __init__(
        self, folder: Path, certificates: Certificates, server: SqlServer, fake: FakeServer
    ) -> None:
        super().__init__(folder, certificates)
        self.server = server
        self.fake = fake
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def build(self) -> None:
        ca = ("--ca", str(self.certificates.ca))
        plain = ("--tls", "disable")
        key = self.private("client.key", self.certificates.key("client").read_bytes())
        certificate = str(self.certificates.certificate("client"))
        x509 = (*ca, "--client-cert", certificate, "--client-key", key)
        url = f"mysql://127.0.0.1:{self.server.port}/{DATABASE}"
        for name, account, password, options in (
            ("native", "canary_native", NATIVE_PASSWORD, ca),
            ("plain", "canary_native", NATIVE_PASSWORD, plain),
            ("ed25519", "canary_ed25519", ED25519_PASSWORD, ca),
            ("ed25519-plain", "canary_ed25519", ED25519_PASSWORD, plain),
            ("x509", "canary_x509", CERT_PASSWORD, x509),
            ("wrong", "canary_native", WRONG_PASSWORD, ca),
            ("rotated", "canary_native", NATIVE_PASSWORD, ca),
        ):
            self.add(name, url, account, *options, password=password.encode() + b"\n")
            again = ("source", "add", "finance", name, url, "--username", account, *options)
            file = self.private("password", password.encode())
            self.recorder.run_once(*again, "--password-file", file)
        # What `source rotate` of a client certificate is tried on.
        self.add("cert", url, "canary_x509", *x509, password=CERT_PASSWORD.encode())
        url = f"mysql://127.0.0.1:{self.fake.port}/fakedb"
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        pinned = (*plain, "--server-public-key", self.private("server.pem", public))
        clear = (*ca, "--auth-method", "mysql_clear_password")
        echoing = {"echo": plain, "echo-tls": ca, "echo-clear": clear, "echo-pinned": pinned}
        for name, chosen in echoing.items():
            self.add(name, url, "fake_user", *chosen, password=ECHOED_PASSWORD.encode())

    def use(self) -> None:
        # Not SHOW GRANTS: MariaDB tells an account the hash of its own password (docs/limits.md).
        for name in ("native", "plain", "ed25519", "ed25519-plain", "x509", "native"):
            for tls in (False, True):
                for way in WAYS:
                    told = self.recorder.log_in(
                        "finance", self.tokens[0], name,
                        "SELECT CURRENT_USER(), VERSION()",
                        "SELECT * FROM information_schema.processlist", "SHOW FULL PROCESSLIST",
                        "SHOW VARIABLES", "SHOW STATUS",
                        "SELEC", "SELECT nothing", "SHOW WARNINGS",
                        tls=tls, way=way,
                    )  # fmt: skip
                    assert told == "", told
        self.stop_a_statement()

    def stop_a_statement(self) -> None:
        """By a KILL of the client's and by an administrator: each is a login of the proxy's."""
        for word, stop in (("by a client", self._kill_in_sql), ("by hand", self._kill_by_hand)):
            with MysqlClient(self.proxy.port) as client:
                client.log_in("finance", self.tokens[0], "native")
                client.send(query(f"SELECT '{word}' FROM (SELECT SLEEP(60)) AS slept"))
                wait_until(partial(self._is_running, word), what="the statement to run")
                stop(client.thread_id)
                wait_until(partial(self._has_stopped, word), what="the statement to stop")

    def _has_stopped(self, word: str) -> bool:
        return not self._is_running(word)

    def _is_running(self, word: str) -> bool:
        sql = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE "
        # The question itself is one.
        ((count,),) = self.server.administer(f"{sql}'%{word}%SLEEP(60)%'")
        return int(count) > 1

    def _kill_in_sql(self, number: int) -> None:
        kill = f"KILL QUERY {number}"
        assert self.recorder.log_in("finance", self.tokens[0], "native", kill) == ""

    def _kill_by_hand(self, number: int) -> None:
        self.recorder.run_once("session", "kill", str(number), "--yes")

    def misuse(self) -> None:
        token = self.tokens[1]
        for way in WAYS:
            for tls in (False, True):
                log_in = partial(self.recorder.log_in, tls=tls, way=way)
                assert "password authentication failed" in log_in("finance", token + "x", "native")
                assert "password authentication failed" in log_in("nobody", token, "native")
                assert log_in("finance", token, "no-such-source")
                assert log_in(token, token, token)
                assert log_in("finance", token, "wrong")
        scripts: list[tuple[str, Callable[[MysqlPeer], None]]] = [
            ("echo", _echo_at_once),
            ("echo", _echo_native),
            ("echo", _echo_in_the_sqlstate),
            ("echo", partial(_echo_proof, "client_ed25519")),
            ("echo", _echo_parsec),
            ("echo", _echo_in_the_version),
            ("echo-tls", self._echo_whole),
            ("echo-tls", partial(self._echo_whole, method="sha256_password")),
            ("echo-clear", partial(self._echo_whole, method="mysql_clear_password")),
            ("echo-pinned", self._echo_decrypted),
            ("echo-pinned", partial(self._echo_decrypted, method="sha256_password")),
        ]
        for source, script in scripts:
            self.fake.play(script)
            told = self.recorder.log_in("finance", token, source)
            assert "refused the stored credential" in told, (source, script, told)
        # A server that asks for more than it may have.
        for source, method in (("echo", "mysql_clear_password"), ("echo", "sha256_password")):
            self.fake.play(partial(_echo_proof, method))
            assert self.recorder.log_in("finance", token, source)
        self.fake.play(MysqlPeer.drain)

    def look(self) -> None:
        with MysqlClient(self.proxy.port) as client:
            client.log_in("finance", self.tokens[0], self.first)
            shown = self.server.administer("SELECT * FROM information_schema.processlist")
            self.recorder.look({"processlist": repr(shown)})

    # --- servers that have been given the password ---------------------------------------

    def _context(self) -> ssl.SSLContext:
        certificates = self.certificates
        return server_context(
            str(certificates.certificate("server")), str(certificates.key("server"))
        )

    def _echo_whole(self, peer: MysqlPeer, method: str = "") -> None:
        peer.ssl_request()
        peer.encrypt(self._context())
        peer.login = peer.receive()
        peer.put(switch(method) if method else FULL_AUTHENTICATION)
        password = peer.receive().rstrip(b"\0").decode()
        assert password == ECHOED_PASSWORD
        peer.put(err(1045, f"{password} is wrong", "28000"))

    def _echo_decrypted(self, peer: MysqlPeer, method: str = "") -> None:
        peer.greet()
        peer.put(switch(method) if method else FULL_AUTHENTICATION)
        encrypted = peer.receive()
        plain = self.key.decrypt(encrypted, OAEP(MGF1(SHA1()), SHA1(), None))
        password = raw.mixed(plain, SCRAMBLE).rstrip(b"\0").decode()
        assert password == ECHOED_PASSWORD
        peer.put(err(1045, f"{password} is wrong: {encrypted.hex()} {plain.hex()}", "28000"))

    # --- what is secret ----------------------------------------------------------------

    def canaries(self) -> list[Canary]:
        found = [
            Canary("the native password", NATIVE_PASSWORD.encode()),
            Canary("the ed25519 password", ED25519_PASSWORD.encode()),
            Canary("the password beside a certificate", CERT_PASSWORD.encode()),
            Canary("a password that is refused", WRONG_PASSWORD.encode()),
            Canary("a rotated password", ROTATED_PASSWORD.encode()),
            Canary(
                "a password that is echoed",
                ECHOED_PASSWORD.encode(),
                also={
                    "its native scramble": raw.native(ECHOED_PASSWORD, SCRAMBLE),
                    "its sha2 scramble": raw.scrambled(ECHOED_PASSWORD, SCRAMBLE),
                    "mixed for RSA": raw.mixed(ECHOED_PASSWORD.encode(), SCRAMBLE),
                    "its parsec seed": hashlib.pbkdf2_hmac(
                        "sha512", ECHOED_PASSWORD.encode(), PARSEC_SALT, 1024, 32
                    ),
                },
            ),
        ]
        assert len(self.recorder.proofs) > 50, "no proofs of tokens were kept"
        found += [
            Canary(f"proof {number} of a token", proof, is_derived=True)
            for number, proof in enumerate(self.recorder.proofs)
        ]
        return found + self.token_canaries() + self.key_canaries()


def _echo_at_once(peer: MysqlPeer) -> None:
    peer.greet()
    proof = raw.scrambled(ECHOED_PASSWORD, SCRAMBLE)
    assert proof in peer.login
    peer.put(err(1045, f"{ECHOED_PASSWORD} {proof.hex()} is wrong", "28000"))


def _echo_in_the_sqlstate(peer: MysqlPeer) -> None:
    peer.greet()
    peer.put(b"\xff\x15\x04#" + ECHOED_PASSWORD.encode())


def _echo_in_the_version(peer: MysqlPeer) -> None:
    peer.greet(greeting(version=f"8.0.36-{ECHOED_PASSWORD}"))
    peer.put(err(1045, "no", "28000"))


def _echo_native(peer: MysqlPeer) -> None:
    peer.greet()
    peer.put(switch("mysql_native_password"))
    proof = peer.receive()
    assert proof == raw.native(ECHOED_PASSWORD, SCRAMBLE)
    stored = hashlib.sha1(hashlib.sha1(ECHOED_PASSWORD.encode()).digest()).hexdigest()
    peer.put(err(1045, f"{proof.hex()} is not of *{stored.upper()}", "28000"))


def _echo_proof(method: str, peer: MysqlPeer) -> None:
    peer.greet()
    peer.put(switch(method, LONG_SCRAMBLE, end=b""))
    proof = peer.receive()
    peer.put(err(1045, f"{proof.hex()} is not of {ECHOED_PASSWORD}", "28000"))


def _echo_parsec(peer: MysqlPeer) -> None:
    peer.greet()
    peer.put(switch("parsec", LONG_SCRAMBLE, end=b""))
    assert peer.receive() == b""
    peer.put(b"P\0" + PARSEC_SALT)
    proof = peer.receive()
    peer.put(err(1045, f"{proof.hex()} is not of {ECHOED_PASSWORD}", "28000"))
