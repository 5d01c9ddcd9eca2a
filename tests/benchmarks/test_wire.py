from __future__ import annotations

import base64

import pytest

from benchmarks.processes import BenchmarkError
from benchmarks.sessions import Endpoint
from benchmarks.wire import command_tag, scram_verifier, tag_rows


def test_a_verifier_is_the_one_that_postgresql_stores():
    # The password, salt and iterations of the example in RFC 7677, section 3.
    verifier = scram_verifier("pencil", 4096, base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert verifier == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_an_endpoint_says_in_libpqs_words_whether_there_is_tls():
    plain = Endpoint(5432, "u", "p", "d")
    assert plain.libpq_environment()["PGSSLMODE"] == "disable"
    secured = Endpoint(5432, "u", "p", "d", tls=True)
    assert secured.libpq_environment()["PGSSLMODE"] == "require"


def test_a_statement_ends_with_its_command_tag():
    tail = b"...C\x00\x00\x00\x10SELECT 1000\x00"
    assert command_tag(tail) == "SELECT 1000"
    with pytest.raises(BenchmarkError, match="without success"):
        command_tag(b"E\x00\x00\x00\x08SERROR\x00")


@pytest.mark.parametrize(
    ("tag", "rows"), [("SELECT 12", 12), ("INSERT 0 3", 3), ("COPY 500", 500), ("TRUNCATE", 0)]
)
def test_a_command_tag_counts_rows(tag: str, rows: int):
    assert tag_rows(tag) == rows
