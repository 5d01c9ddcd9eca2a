"""A password as PostgreSQL prepares it for SCRAM: pg_saslprep, its leniency included.

RFC 4013's profile, with PostgreSQL's two deviations (saslprep.c): what is plain ASCII is
taken as it is, and what is not valid UTF-8 or holds a prohibited character is hashed raw
instead of refused. Differing from it in one character means a login that fails.
Knows characters; must never know what a password is for.
"""

from __future__ import annotations

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,  # non-ASCII spaces
    stringprep.in_table_c21_c22,  # control characters
    stringprep.in_table_c3,  # private use
    stringprep.in_table_c4,  # non-characters
    stringprep.in_table_c5,  # surrogates
    stringprep.in_table_c6,  # inappropriate for plain text
    stringprep.in_table_c7,  # inappropriate for canonical representation
    stringprep.in_table_c8,  # change display properties
    stringprep.in_table_c9,  # tagging
    stringprep.in_table_a1,  # unassigned in Unicode 3.2
)


def saslprep(password: bytes) -> bytes:
    """The prepared password, or the password itself where it cannot be prepared."""
    if password.isascii():
        return password
    try:
        text = password.decode("utf-8")
    except UnicodeDecodeError:
        return password
    # U+200B is in both tables; PostgreSQL asks for the space first.
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter
        for letter in text
        if stringprep.in_table_c12(letter) or not stringprep.in_table_b1(letter)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    if not prepared or _is_prohibited(prepared) or not _is_bidi_sound(prepared):
        return password
    return prepared.encode("utf-8")


def _is_prohibited(text: str) -> bool:
    return any(is_in_table(letter) for letter in text for is_in_table in _PROHIBITED)


def _is_bidi_sound(text: str) -> bool:
    """RFC 3454 section 6: right-to-left text has no left-to-right letter, and is
    right-to-left at both ends.
    """
    if not any(map(stringprep.in_table_d1, text)):
        return True
    return (
        not any(map(stringprep.in_table_d2, text))
        and stringprep.in_table_d1(text[0])
        and stringprep.in_table_d1(text[-1])
    )
