from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policies.redaction import fingerprint_if_secret, holds_secret, may_hold_secret

KEY = bytes(range(32))
CANARY = "hunter2"

SECRET_STATEMENTS = [
    "CREATE USER app PASSWORD 'hunter2'",
    "CREATE ROLE app WITH LOGIN PASSWORD 'hunter2' VALID UNTIL 'infinity'",
    "create role app login encrypted password 'hunter2'",
    "CREATE GROUP g PASSWORD 'hunter2'",
    "ALTER USER app WITH PASSWORD 'hunter2'",
    "ALTER ROLE app PASSWORD 'hunter2';",
    "aLtEr RoLe app pAsSwOrD 'hunter2'",
    "ALTER USER \"app\" PASSWORD 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVyhunter2'",
    "ALTER ROLE CURRENT_USER PASSWORD E'hunter2'",
    "ALTER ROLE app PASSWORD E'hunt\\x65r2 hunter2'",
    "ALTER ROLE app PASSWORD U&'hunter2'",
    "ALTER ROLE app PASSWORD $$hunter2$$",
    "ALTER ROLE app PASSWORD $x$hunter2$x$",
    "ALTER ROLE app PASSWORD hunter2",
    "ALTER\tROLE\napp\r\nPASSWORD\f'hunter2'",
    "ALTER/**/ROLE/**/app/**/PASSWORD/**/'hunter2'",
    "ALTER /* a /* nested */ one */ ROLE -- and a line\n app PASSWORD -- here\n 'hunter2'",
    "/* first */ ALTER ROLE app PASSWORD /* x */ 'hunter2'",
    "-- first\nALTER ROLE app PASSWORD 'hunter2'",
    "SELECT 1; ALTER ROLE app PASSWORD 'hunter2'; SELECT 2",
    "SELECT '--'; ALTER ROLE app PASSWORD 'hunter2'",
    "SELECT '/*'; ALTER ROLE app PASSWORD 'hunter2'",
    "BEGIN; SELECT 1;;ALTER ROLE app PASSWORD 'hunter2'",
    "DO $$ BEGIN ALTER ROLE app PASSWORD 'hunter2'; END $$",
    "DO $$ BEGIN EXECUTE 'ALTER ROLE app PASSWORD ''hunter2'''; END $$",
    "DO $$ BEGIN EXECUTE format('ALTER %s %I PASSWORD %L', 'ROLE', 'app', 'hunter2'); END $$",
    "DO $$ BEGIN EXECUTE 'ALTER ' || 'ROLE app PASSWORD ' || quote_literal('hunter2'); END $$",
    "DO E'BEGIN\\nALTER\\nROLE app\\nPASSWORD ''hunter2''; END'",
    "DO E'BEGIN ALTER ROLE app P\\x41SSWORD ''hunter2''; END'",
    "DO E'BEGIN ALTER ROLE app P\\101SSWORD ''hunter2''; END'",
    "DO E'BEGIN ALTER ROLE app P\\u0041SSWORD ''hunter2''; END'",
    "DO E'BEGIN ALTER ROLE app P\\U00000041SSWORD ''hunter2''; END'",
    "SELECT dblink_connect(U&'host=h \\0070assword=hunter2')",
    "SELECT dblink_connect(U&'host=h \\+000070assword=hunter2')",
    "SELECT dblink_connect(U&'host=h !0070assword=hunter2' UESCAPE '!')",
    "EXPLAIN ANALYZE SELECT dblink('password=hunter2', 'SELECT 1')",
    "PREPARE p AS SELECT dblink('password=hunter2', 'SELECT 1')",
    "SET PASSWORD = 'hunter2'",
    "SET PASSWORD FOR 'app'@'%' = PASSWORD('hunter2')",
    "SET PASSWORD FOR app TO RANDOM",
    'SET PASSWORD = "hunter2"',
    "SET PASSWORD = hunter2",
    "CREATE USER 'app'@'%' IDENTIFIED BY 'hunter2'",
    "CREATE USER app IDENTIFIED WITH caching_sha2_password AS 'hunter2'",
    "ALTER USER app IDENTIFIED/* */BY 'hunter2'",
    "GRANT ALL ON *.* TO app IDENTIFIED BY 'hunter2'",
    "CREATE USER app /*!50000 IDENTIFIED */ /*!50000 BY */ 'hunter2'",
    "CREATE USER app IDENTIFIED VIA mysql_native_password USING 'hunter2'",
    "CHANGE MASTER TO MASTER_PASSWORD='hunter2'",
    "CHANGE REPLICATION SOURCE TO SOURCE_PASSWORD = 'hunter2'",
    "START GROUP_REPLICATION USER='r', PASSWORD='hunter2'",
    "SELECT PASSWORD('hunter2')",
    'SELECT OLD_PASSWORD("hunter2")',
    "SET PASSWORD = _utf8mb4'hunter2'",
    "SET PASSWORD # x\n = 'hunter2'",
    "ALTER USER app IDENTIFIED # x\n BY 'hunter2'",
    "ALTER USER USER() IDENTIFIED BY 'hunter2' REPLACE 'hunter2'",
    "ALTER USER app IDENTIFIED BY 'hunter2' RETAIN CURRENT PASSWORD",
    "/*!80000 ALTER USER app IDENTIFIED */ BY 'hunter2'",
    "GRANT ALL ON *.* TO app IDENTIFIED BY PASSWORD '*hunter2'",
    "CREATE USER app IDENTIFIED VIA pam OR mysql_native_password USING 'hunter2'",
    'CHANGE MASTER TO MASTER_HOST="h", MASTER_PASSWORD="hunter2"',
    "START REPLICA USER='r' PASSWORD='hunter2'",
    "CLONE INSTANCE FROM u@h:3306 IDENTIFIED BY 'hunter2'",
    "PREPARE s FROM 'SET PASSWORD = \\'hunter2\\''",
    "UPDATE mysql.user SET authentication_string='hunter2' WHERE user='app'",
    "INSERT INTO mysql.user (user, authentication_string) VALUES ('app', 'hunter2')",
    'UPDATE mysql.global_priv SET priv=json_set(priv, "$.authentication_string", "hunter2")',
    "CREATE SUBSCRIPTION s CONNECTION 'host=h password=hunter2' PUBLICATION p",
    "CREATE SUBSCRIPTION s CONNECTION 'service=hunter2' PUBLICATION p",
    "ALTER SUBSCRIPTION s CONNECTION 'hunter2'",
    "CREATE /* x */ SUBSCRIPTION s CONNECTION 'hunter2'",
    "CREATE USER MAPPING FOR app SERVER s OPTIONS (user 'u', password 'hunter2')",
    "ALTER USER MAPPING FOR app SERVER s OPTIONS (SET token 'hunter2')",
    "CREATE USER/**/MAPPING FOR app SERVER s OPTIONS (x 'hunter2')",
    "CREATE USER MAPPING IF NOT EXISTS FOR PUBLIC SERVER s OPTIONS (x 'hunter2')",
    "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (x 'hunter2')",
    "CREATE OR REPLACE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (PASSWORD 'hunter2')",
    "ALTER SERVER s OPTIONS (SET x 'hunter2')",
    "ALTER --\n SERVER s OPTIONS (SET x 'hunter2')",
    "ALTER FOREIGN TABLE t OPTIONS (ADD password 'hunter2')",
    "ALTER SYSTEM SET primary_conninfo = 'host=h password=hunter2'",
    "ALTER DATABASE d SET my.password TO 'hunter2'",
    "SELECT set_config('my.password', 'hunter2', false)",
    "SELECT * FROM dblink('host=h password = hunter2', 'SELECT 1') AS t(a int)",
    "SELECT dblink_connect('postgresql://app:hunter2@h/d')",
    "SELECT dblink_connect('postgresql://h/d?password=hunter2')",
    "SELECT dblink_connect('postgresql://app:hun''hunter2@h/d')",
    "SELECT dblink_connect('host=h sslpassword=hunter2')",
    "SELECT dblink_connect('host=h password=$1hunter2')",
    "COPY t FROM PROGRAM 'PGPASSWORD=hunter2 psql -c ...'",
    "COPY t FROM PROGRAM 'curl https://app:hunter2@h/x'",
    "CREATE TABLE t (a int) ENGINE=FEDERATED CONNECTION='mysql://u:hunter2@h:3306/d/t'",
    "SELECT 'Driver=x;Uid=u;Pwd=hunter2'",
    'UPDATE t SET settings = \'{"password": "hunter2"}\'',
    "UPDATE users SET password = 'hunter2'",
    'UPDATE "users" SET "password" = \'hunter2\'',
    "UPDATE users SET password = crypt('hunter2', gen_salt('bf'))",
]

PLAIN_STATEMENTS = [
    "",
    "SELECT 1",
    "SELECT abalance FROM pgbench_accounts WHERE aid = 1",
    "SELECT password FROM users WHERE id = 1",
    'SELECT "auth_user"."password", "auth_user"."id" FROM "auth_user" WHERE "auth_user"."id" = 7',
    'SELECT "auth_user"."password" FROM "auth_user" LIMIT 21 /* route=\'x\' */',
    "INSERT INTO users (email, password) VALUES ($1, $2)",
    "UPDATE users SET password = $1 WHERE id = $2",
    'UPDATE "users" SET "password" = $1 WHERE "users"."id" = $2',
    "UPDATE `users` SET `password` = ? WHERE `id` = ?",
    "SELECT password::text FROM users",
    "SHOW password_encryption",
    "SELECT user, authentication_string FROM mysql.user",
    "SHOW CREATE USER app",
    "SET GLOBAL validate_password.policy = LOW",
    "SET password_encryption = 'scram-sha-256'",
    "CREATE TABLE users (id int, email text, password text)",
    "ALTER TABLE users ADD COLUMN password_hash text",
    "SELECT * FROM subscription WHERE id = 1",
    "INSERT INTO server (name) VALUES ('a')",
    "SELECT mapping FROM t",
    "SHOW server_version",
    "SELECT current_setting('server_version_num')",
    "SELECT 'https://example.com/path'",
    "SELECT 'https://example.com:8443/path' || '@'",
    "ALTER ROLE app SET search_path = 'x'",
    "ALTER USER app NOLOGIN",
    "CREATE ROLE app",
    "DROP USER MAP",
    "SELECT 'a\\b'",
]


@pytest.mark.parametrize("statement", SECRET_STATEMENTS)
def test_a_statement_with_a_secret_is_replaced(statement: str):
    written = fingerprint_if_secret(statement.encode(), KEY)
    assert written is not None
    assert CANARY not in written
    assert re.search(r"\[redacted: statement with a secret, fingerprint [0-9a-f]{32}\]$", written)


@pytest.mark.parametrize("statement", SECRET_STATEMENTS)
@pytest.mark.parametrize(
    "around",
    [
        "SELECT 1; {}",
        "{}; SELECT 1",
        "/* app */ {} /* trace='x' */",
        "\ufeff  {}",
        "DO $body$ BEGIN {} END $body$",
    ],
)
def test_a_secret_is_found_wherever_its_statement_stands(statement: str, around: str):
    assert fingerprint_if_secret(around.format(statement).encode(), KEY) is not None


@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
@pytest.mark.parametrize("statement", [s for s in SECRET_STATEMENTS if "\\" not in s])
def test_the_case_of_letters_does_not_matter(statement: str, change: type[str]):
    assert fingerprint_if_secret(change(statement).encode(), KEY) is not None


@pytest.mark.parametrize("statement", PLAIN_STATEMENTS)
def test_a_statement_without_a_secret_is_written_down(statement: str):
    assert fingerprint_if_secret(statement.encode(), KEY) is None


GAPS = st.sampled_from([" ", "\n", "\t ", "/**/", " /* x /* y */ z */ ", " -- x\n", "  "])
WORDS = st.sampled_from(
    [
        ["ALTER", "ROLE", "app", "PASSWORD", "'hunter2'"],
        ["CREATE", "USER", "app", "WITH", "ENCRYPTED", "PASSWORD", "'hunter2'"],
        ["CREATE", "USER", "app", "IDENTIFIED", "BY", "'hunter2'"],
        ["CREATE", "USER", "MAPPING", "FOR", "app", "SERVER", "s"],
        ["CREATE", "SUBSCRIPTION", "s", "CONNECTION", "'hunter2'"],
        ["ALTER", "SERVER", "s", "OPTIONS", "(x 'hunter2')"],
        ["SET", "PASSWORD", "=", "'hunter2'"],
        ["SET", "PASSWORD", "FOR", "app", "=", "'hunter2'"],
    ]
)


@given(WORDS, st.data())
def test_nothing_between_the_words_hides_them(words: list[str], data: st.DataObject):
    text = words[0]
    for word in words[1:]:
        text += data.draw(GAPS) + data.draw(st.sampled_from([word, word.lower(), word.title()]))
    assert fingerprint_if_secret(text.encode(), KEY) is not None


FRAGMENTS = st.sampled_from(
    [
        *["create", "alter", "user", "role", "group", "or", "replace", "password", "passwd"],
        *["pwd", "identified", "by", "with", "via", "as", "subscription", "mapping", "server"],
        *["uescape", "for", "to", "set", "select", "dblink", "connection", "prepare"],
        *[
            "'",
            '"',
            "`",
            "$",
            "$$",
            "$1",
            "?",
            "%s",
            "%",
            "=",
            ":",
            "::",
            ":=",
            "=>",
            "(",
            ")",
            ";",
        ],
        *["/*", "*/", "--", "#", "\n", " ", "\t", "\0", "@", "://", "/", ",", ".", "E'", "U&'"],
        *["\\", "\\x70", "\\160", "\\u0070", "\\0070", "\\+000070", "\\n", "pass", "word", "ser"],
        *[
            "ver",
            "map",
            "ping",
            "pas",
            "ident",
            "ified",
            "sub",
            "scription",
            "PASSW",
            "oRd",
            "\xff",
        ],
    ]
)
TEXTS = st.lists(FRAGMENTS, max_size=14).map("".join) | st.lists(FRAGMENTS, max_size=14).map(
    " ".join
)


@settings(max_examples=1500)
@given(TEXTS.map(str.encode) | st.binary(max_size=60))
@example(b"\\x70assword='x'")
def test_the_cheap_test_passes_nothing_that_the_full_test_redacts(text: bytes):
    if holds_secret(text):
        assert may_hold_secret(text)


@settings(max_examples=300)
@given(st.lists(TEXTS.map(str.encode), max_size=6))
def test_the_cheap_test_may_be_asked_of_many_texts_at_once(texts: list[bytes]):
    if not may_hold_secret(b"\n".join(texts)):
        assert not any(holds_secret(text) for text in texts)


@given(TEXTS)
def test_putting_more_around_a_secret_does_not_hide_it(before: str):
    text = before.replace("\\", "") + " ; ALTER ROLE app PASSWORD 'hunter2'"
    assert fingerprint_if_secret(text.encode(), KEY) is not None


def test_the_first_words_are_kept():
    kept = {
        "ALTER ROLE app PASSWORD 'hunter2'": "ALTER ROLE",
        "/* x */ -- y\n create user mapping for hunter2 server s": "CREATE USER MAPPING",
        "DO $$ password='hunter2' $$": "DO",
        "CREATE OR REPLACE SERVER s OPTIONS ()": "CREATE OR REPLACE SERVER",
    }
    for statement, words in kept.items():
        written = fingerprint_if_secret(statement.encode(), KEY)
        assert written is not None
        assert written.startswith(f"{words} [redacted: ")


@given(st.text(max_size=40))
def test_nothing_but_known_words_is_kept(text: str):
    written = fingerprint_if_secret(
        f"{text} ALTER ROLE x PASSWORD 'y'".encode("utf-8", "replace"), KEY
    )
    assert written is not None
    assert re.fullmatch(r"([A-Z]+ ){0,4}\[redacted: [a-z ,0-9]+\]", written)


def test_the_fingerprint_depends_on_the_text_and_on_the_key():
    text, other = b"ALTER ROLE a PASSWORD 'x'", b"ALTER ROLE a PASSWORD 'y'"
    assert fingerprint_if_secret(text, KEY) == fingerprint_if_secret(text, KEY)
    assert fingerprint_if_secret(text, KEY) != fingerprint_if_secret(other, KEY)
    assert fingerprint_if_secret(text, KEY) != fingerprint_if_secret(text, bytes(32))


def test_a_text_with_very_many_escapes_is_not_read_and_not_written_down():
    assert fingerprint_if_secret(b"SELECT E'" + b"\\n" * 4_000 + b"'", KEY) is None
    assert fingerprint_if_secret(b"SELECT E'" + b"\\n" * 5_000 + b"'", KEY) is not None


def test_a_text_cut_in_the_middle_of_its_secret_is_replaced():
    whole = b"ALTER ROLE app PASSWORD 'hunter2'"
    for length in range(whole.index(b"hunter2"), len(whole)):
        assert fingerprint_if_secret(whole[:length], KEY) is not None


@pytest.mark.parametrize(
    "piece",
    [
        "create ",
        "create/*",
        "create or replace ",
        "create or ",
        "alter\n\n\n",
        "password ",
        "password\t",
        "password=$1",
        "password = $11111111111x ",
        "identified ",
        "user ",
        "user!",
        "://a:b",
        "://a:",
        "://",
        "://:",
        ":",
        "@",
        "'",
        '"',
        " ",
        "/*",
        "*/",
        "--",
        "--\n",
        "\\",
        "\\x",
        "\\x70",
        "\\u0070",
        "\\+",
        "$",
        "$a",
        "a",
        "1",
        "_",
    ],
)
def test_a_long_text_of_one_piece_ends(piece: str):
    # Anything worse than linear takes minutes here and runs into the suite's time-out.
    for head, tail in (("", ""), ("password ", ""), ("", " password"), ("://", ""), ("pwd", "x")):
        text = (head + piece * (1024 * 1024 // len(piece)) + tail).encode()
        may_hold_secret(text)
        holds_secret(text)
        fingerprint_if_secret(text, KEY)
