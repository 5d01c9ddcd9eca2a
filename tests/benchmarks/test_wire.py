from __future__ import annotations

import base64

from benchmarks.wire import Endpoint, scram_verifier


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
