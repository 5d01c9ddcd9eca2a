"""Which statements' text must not be written down, and what stands for it.

Knows how SQL carries passwords. Must never see bind parameters, and keeps nothing.

Not written down: CREATE or ALTER of a USER, ROLE or GROUP with a password, SET PASSWORD,
IDENTIFIED BY, subscriptions, user mappings, servers, and connection strings with a
password, wherever they stand: second in a text, in DO bodies, strings, EXPLAIN, COPY.
The tests are over words and not over a grammar: a text that the server would not
parse may hold a password too, and a word in a string may be run by EXECUTE. When in
doubt, the text is not written down.

Every pattern is linear: its parts match disjoint characters, and no part that repeats
can run across a second place where the pattern may start.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from policies.stems import has_stem

_WORD = re.compile(rb"[a-z0-9_]+")
_COMMENT_MARKS = (b"/*", b"--", b"#")

# Two words with nothing but punctuation between: also 'alter ' || 'role '.
_ACCOUNT = re.compile(
    rb"\b(?:create|alter)[^a-z0-9_]+(?:or[^a-z0-9_]+replace[^a-z0-9_]+)?(?:user|role|group)\b"
)
_SUBSCRIPTION_OR_SERVER = re.compile(
    rb"\b(?:create|alter)[^a-z0-9_]+(?:or[^a-z0-9_]+replace[^a-z0-9_]+)?(?:subscription|server)\b"
)
_USER_MAPPING = re.compile(rb"\buser[^a-z0-9_]+mapping\b")
_IDENTIFIED = re.compile(rb"\bidentified[^a-z0-9_]+(?:by|with|via|as)\b")

# A password and then its value: password=x, "password": "x", PASSWORD 'x', PASSWORD E'x',
# PASSWORD $$x$$, PASSWORD ' || ..., PASSWORD %L, PASSWORD('x'), SET PASSWORD FOR x TO ...
# A comment straight after the word hides what follows, so it counts as a value.
_PASSWORD_VALUE = re.compile(
    rb"""(?:passw(?:or)?d|pwd)["`\]]?\s*
    (?: :?= | : (?!:) | % | \( | ' | \$[a-z_$] | (?:e|n|b|x|u&)' | (?<=\s)["`]
      | /\* | -- | \# | (?<=\s)(?:for|to)\b )""",
    re.VERBOSE,
)
# The same with a bind parameter for its value.
_PASSWORD_PARAMETER = re.compile(
    rb"""(?:passw(?:or)?d|pwd)["`\]]?\s*(?:=|\bto\b)\s*(?:\$[0-9]+|\?|%s)\s*(?=[,;)\s]|$)""",
    re.VERBOSE,
)
# The column of mysql.user and the key in MariaDB's mysql.global_priv that hold an account's
# password as its plug-in keeps it; beside a literal or a comparison it may be one.
_STORED_PASSWORD = b"authentication_string"
_LITERAL = re.compile(rb"['\"=]|\b0x")

# What begins a literal that may hold a whole connection string. "" and `` quote names.
_QUOTE = re.compile(rb"""['\\]|\$[^0-9]""")

# scheme://user:password@host. libpq looks for the @ before the first slash
# (conninfo_uri_parse_options in fe-connect.c), so that a slash ends both parts.
_URI_PASSWORD = re.compile(rb"://[^/@:]*:[^/@]*@")

# E'' strings (PostgreSQL manual 4.1.2.2) and U&'' strings (4.1.2.3).
_ESCAPE = re.compile(
    rb"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-7]{1,3})|(.))",
    re.DOTALL,
)
_OCTAL, _CHARACTER = 4, 5
_UNICODE_ESCAPE = re.compile(rb"\\(?:\+([0-9A-Fa-f]{6})|([0-9A-Fa-f]{4}))")
# Reading one costs about half a microsecond, and the event loop waits meanwhile.
_ESCAPE_LIMIT = 4_096
_BLANK_ESCAPES = frozenset(b"bfnrt")

# What is kept of a redacted text: these words alone, from its start.
_LEADING_WORD = re.compile(
    r"ALTER|CALL|COPY|CREATE|DATABASE|DELETE|DO|DROP|EXECUTE|EXPLAIN|FOREIGN|GRANT|GROUP"
    r"|INSERT|INTO|MAPPING|OR|PREPARE|REPLACE|ROLE|SELECT|SERVER|SET|SUBSCRIPTION|SYSTEM"
    r"|TABLE|UPDATE|USER|WITH"
)
_LEADING_LIMIT = 4
_FINGERPRINT = re.compile(
    r"(?:[A-Z]+ ){0,4}\[redacted: statement with a secret, fingerprint [0-9a-f]{32}\]"
)
_LEADING_COMMENTS = 16
_BLANKS = re.compile(rb"\s*")


def fingerprint_if_secret(text: bytes, key: bytes) -> str | None:
    """What to write in place of a text that may hold a secret; None: write the text.

    The fingerprint is the first 16 bytes of HMAC-SHA-256 under ``key``, in hex: equal
    texts have equal ones, and without the key a short password cannot be guessed from
    it. Linear in the text. Bytes that are not ASCII are letters of no word.
    """
    if not may_hold_secret(text) or not holds_secret(text):
        return None
    fingerprint = hmac.new(key, text, hashlib.sha256).digest()[:16].hex()
    words = _leading_words(text)
    prefix = words + " " if words else ""
    return f"{prefix}[redacted: statement with a secret, fingerprint {fingerprint}]"


def is_fingerprint(text: str) -> bool:
    """Whether a text is of the form of what stands for another one. None of SQL is."""
    return _FINGERPRINT.fullmatch(text) is not None


def may_hold_secret(text: bytes) -> bool:
    """The cheap test: False only where ``holds_secret`` is False.

    It may be asked of many texts at once, joined by newlines: False answers for each.
    """
    return has_stem(text)


def holds_secret(text: bytes) -> bool:
    """The full test, in doubt True."""
    lower = text.lower()
    if _reads_as_secret(lower):
        return True
    escapes = lower.count(b"\\")
    if not escapes:
        return False
    if escapes > _ESCAPE_LIMIT:
        return True
    # Whether a backslash begins an escape, and which, depends on the string it is in and
    # on settings of the session: the text is read each way.
    return _reads_as_secret(_ESCAPE.sub(_unescape, text).lower()) or _reads_as_secret(
        _UNICODE_ESCAPE.sub(_unescape_unicode, text).lower()
    )


def _reads_as_secret(lower: bytes) -> bool:
    if b"uescape" in lower or _URI_PASSWORD.search(lower) or _USER_MAPPING.search(lower):
        return True
    if _SUBSCRIPTION_OR_SERVER.search(lower) or _IDENTIFIED.search(lower):
        return True
    if _STORED_PASSWORD in lower and _LITERAL.search(lower):
        return True
    has_password = b"passw" in lower
    if has_password and _ACCOUNT.search(lower):
        return True
    if (has_password or b"pwd" in lower) and _has_password_value(lower):
        return True
    # A comment may stand between any two words: then their order is not looked at.
    if any(mark in lower for mark in _COMMENT_MARKS):
        return _words_may_be_apart(frozenset(_WORD.findall(lower)), has_password)
    return False


def _has_password_value(lower: bytes) -> bool:
    if not _PASSWORD_VALUE.search(lower):
        return False
    if _QUOTE.search(lower):
        return True
    # Without a quote there is no literal: what is left after taking out bind parameters
    # is a password that was typed without its quotes, or nothing.
    return _PASSWORD_VALUE.search(_PASSWORD_PARAMETER.sub(b" ", lower)) is not None


def _words_may_be_apart(words: frozenset[bytes], has_password: bool) -> bool:
    if not words.isdisjoint((b"create", b"alter")):
        if not words.isdisjoint((b"subscription", b"server", b"mapping")):
            return True
        if has_password and not words.isdisjoint((b"user", b"role", b"group")):
            return True
    if b"mapping" in words and b"user" in words:
        return True
    return b"identified" in words and not words.isdisjoint((b"by", b"with", b"via", b"as"))


def _unescape(found: re.Match[bytes]) -> bytes:
    character = found[_CHARACTER]
    if character is not None:
        return b" " if character[0] in _BLANK_ESCAPES else character
    octal = found[_OCTAL]
    return _ascii(int(octal, 8) if octal is not None else int(found[found.lastindex or 0], 16))


def _unescape_unicode(found: re.Match[bytes]) -> bytes:
    return _ascii(int(found[1] or found[2], 16))


def _ascii(code: int) -> bytes:
    # Above ASCII there is no letter of a keyword.
    return bytes((code,)) if code < 128 else b"\xff"


def _leading_words(text: bytes) -> str:
    at = _after_comments(text)
    words: list[str] = []
    for word in text[at : at + 128].split(maxsplit=_LEADING_LIMIT)[:_LEADING_LIMIT]:
        upper = word.decode("ascii", "replace").upper()
        if not _LEADING_WORD.fullmatch(upper):
            break
        words.append(upper)
    return " ".join(words)


def _after_comments(text: bytes) -> int:
    at = 0
    for _ in range(_LEADING_COMMENTS):
        blanks = _BLANKS.match(text, at)
        at = blanks.end() if blanks is not None else at
        if text.startswith(b"/*", at):
            end = text.find(b"*/", at + 2)
        elif text.startswith(b"--", at):
            end = text.find(b"\n", at + 2) - 1
        else:
            return at
        if end < 0:
            return len(text)
        at = end + 2
    return len(text)
