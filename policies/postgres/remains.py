# cython: annotation_typing=False
"""What a statement leaves behind in its PostgreSQL session, from its text alone.

For whoever gives a session's connection to somebody else between two transactions. It says
"nothing" only of what it knows: statements whose command leaves nothing, and in them only
calls of functions that PostgreSQL brings along and that leave nothing, either. What it has
never heard of (a function of the database's own, a command of another server's) it calls by
that name, and its reader keeps the connection apart.

Cuts words, names, strings and comments as PostgreSQL's scan.l does, in the lexical rules of
standard_conforming_strings; it does not parse. It cannot see what the database's own
triggers, views, operators, casts and defaults do ("docs/limits").

Plain Python; compiled with the types in ``remains.pxd``.
"""

from __future__ import annotations

from policies.postgres.plain_set import plain_set
from policies.postgres.remains_words import (
    CAUSES,
    COMMANDS,
    DDL,
    DDL_KEYWORDS,
    DDL_NAMING,
    FUNCTIONS,
    IN_FRONT_OF_TEMP,
    KEYWORDS,
    LEAVES_NOTHING,
    LOOKED_AT,
    NAMING,
    OF_TRANSACTIONS,
    TRUE,
)
from protocols.remains import Remainder

_UNKNOWN = Remainder("unknown")

# Where none are kept: most statements need no list of their own.
_NO_WORDS: list[bytes] = []

# What stood last.
_OTHER = 0
_WORD = 1
_DOT = 2
_CLOSED = 3
_FIELD = 4


class _Reader:
    """One text's. Words are kept as places in it, and looked at where something hangs on them."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.cause = ""
        self.is_deallocating = False
        self.deallocates: bytes | None = None
        self.statements = 0
        self.resets_all = False
        self.has_transaction = False
        self.renew()

    def renew(self) -> None:
        """Another statement begins."""
        self.first = b""
        self.is_looked_at = False
        self.words = _NO_WORDS
        # The name that stood last, its schema, and the word before the two: where each begins
        # and ends; nowhere for none.
        self.name = self.name_end = 0
        self.is_quoted = False
        self.schema = self.schema_end = 0
        self.context = self.context_end = 0
        self.is_behind_paren = False
        self.last = _OTHER
        self.is_temporary = False
        self.is_with_hold = False
        self.depth = 0
        # The parenthesis of a set_config, and its arguments so far.
        self.config = -1
        self.commas = 0
        self.third = _NO_WORDS

    def blame(self, cause: str) -> None:
        """The first cause counts."""
        if not self.cause:
            self.cause = cause

    def take_word(self, start: int, end: int, is_quoted: bool) -> None:
        """A word, or what stands between quotes."""
        if self.last == _FIELD:
            # (x).f may be f(x): "Functions, 4.2.6 Function Calls" in the manual.
            self.blame("function")
        if self.last == _DOT:
            self.schema, self.schema_end = self.name, self.name_end
        else:
            if self.last == _WORD:
                self.context, self.context_end = self.name, self.name_end
            else:
                self.context = self.context_end = 0
            self.is_behind_paren = self.last == _CLOSED
            self.schema = self.schema_end = 0
        self.name, self.name_end = start, end
        self.is_quoted = is_quoted
        self.last = _WORD
        if not self.first:
            self.first = b"?" if is_quoted else self.text[start:end].lower()
            self.statements += 1
            self.is_looked_at = self.first in LOOKED_AT
            if self.is_looked_at:
                self.words = []
        if self.is_looked_at:
            self._keep_word()
        if self.config >= 0 and self.commas == 2:
            self.third.append(self.text[start:end].lower())

    def _keep_word(self) -> None:
        word = self.text[self.name : self.name_end]
        if not self.is_quoted:
            word = word.lower()
        elif self.first == b"deallocate":
            word = word.replace(b'""', b'"')
        else:
            # In quotes it is no keyword.
            word = b"?"
        self.words.append(word)

    def take_mark(self) -> None:
        """The word that stood last may be one that matters wherever it stands."""
        word = self.text[self.name : self.name_end].lower()
        if word == b"pg_temp" or word.startswith(b"pg_temp_"):
            self.blame("temporary")
        elif word == b"pg_prepared_statements":
            self.blame("prepared")
        elif self.schema_end > 0 and word in FUNCTIONS:
            # x.f may be f(x), too.
            self.blame(FUNCTIONS[word])
        elif not self.is_quoted:
            before = self.text[self.context : self.context_end].lower()
            if word == b"temp" or word == b"temporary":
                if before in IN_FRONT_OF_TEMP:
                    self.is_temporary = True
            elif word == b"hold" and before == b"with":
                self.is_with_hold = True

    def open(self) -> None:
        """An opening parenthesis."""
        if self.last == _WORD:
            self._call()
        self.depth += 1
        self.last = _OTHER

    def _call(self) -> None:
        name = self.text[self.name : self.name_end]
        if not self.is_quoted:
            name = name.lower()
        is_ddl = self.first in DDL
        if self.schema_end == 0:
            if self.is_behind_paren:
                return
            if not self.is_quoted and (name in KEYWORDS or (is_ddl and name in DDL_KEYWORDS)):
                return
        if self.context_end > 0:
            before = self.text[self.context : self.context_end].lower()
            if before in NAMING:
                return
            if before in DDL_NAMING and (is_ddl or self.first in (b"analyze", b"vacuum")):
                return
        if self.schema_end > 0:
            if self.text[self.schema : self.schema_end].lower() != b"pg_catalog":
                self.blame("function")
                return
        if name in LEAVES_NOTHING:
            return
        if name == b"set_config" and self.config < 0:
            self.config = self.depth
            self.commas = 0
            self.third = []
            return
        self.blame(FUNCTIONS.get(name, "function"))

    def close(self) -> None:
        """A closing parenthesis."""
        self.depth -= 1
        if self.config >= 0 and self.depth == self.config:
            if self.commas != 2 or len(self.third) != 1 or self.third[0] not in TRUE:
                self.blame("setting")
            self.config = -1
        self.last = _CLOSED

    def take_other(self, sign: bytes) -> None:
        """Anything that is no word, or a literal."""
        if self.config >= 0:
            if sign == b"," and self.depth == self.config + 1:
                self.commas += 1
            elif self.commas == 2:
                self.third.append(sign)
        self.last = _OTHER

    def end(self) -> None:
        """A statement's end."""
        if self.config >= 0:
            self.blame("unknown")
        if self.first:
            self._judge(self.first, self.words)

    def _judge(self, first: bytes, words: list[bytes]) -> None:
        if self.is_temporary and not (
            # Gone with its transaction; the first word stands for CREATE itself.
            first == b"create" and _has_in_a_row(words, (b"on", b"commit", b"drop"))
        ):
            self.blame("temporary")
        if first in OF_TRANSACTIONS:
            self.has_transaction = True
        if first in COMMANDS:
            if first == b"reset" and words[1:] == [b"all"]:
                self.resets_all = True
            if first == b"declare" and self.is_with_hold:
                self.blame("cursor")
            elif first == b"create" and _has_in_a_row(words, (b"as", b"execute")):
                self.blame("prepared")
            return
        second = words[1] if len(words) > 1 else b""
        if first == b"set":
            if second not in (b"local", b"transaction", b"constraints"):
                self.blame("setting")
        elif first == b"prepare":
            if second != b"transaction":
                self.blame("prepared")
        elif first == b"explain":
            if b"execute" in words:
                self.blame("prepared")
        elif first == b"deallocate" or first == b"discard":
            self.is_deallocating = True
            names = words[1:]
            if len(names) == 2 and names[0] == b"prepare":
                names = names[1:]
            if first == b"deallocate" and len(names) == 1 and names[0] != b"all":
                self.deallocates = names[0]
        else:
            self.blame(CAUSES.get(first, "unknown"))

    def result(self) -> Remainder | None:
        """After the last statement's end."""
        resets_all = self.resets_all and not self.has_transaction
        if not self.cause and not self.is_deallocating and not resets_all:
            return None
        is_alone = self.statements == 1
        return Remainder(
            self.cause,
            self.is_deallocating,
            self.deallocates if is_alone else None,
            plain_set(self.text) if is_alone and self.cause == "setting" else None,
            resets_all and not self.cause,
        )


def remains(text: bytes) -> Remainder | None:
    """What a text leaves behind in its session; None for nothing."""
    reader = _Reader(text)
    size = len(text)
    at = 0
    p = text
    while at < size:
        c = p[at]
        # A word's letters; bytes above ASCII are letters, too.
        if 97 <= c <= 122 or 65 <= c <= 90 or c == 95 or c >= 128:
            start = at
            at += 1
            while at < size:
                c = p[at]
                if not (
                    97 <= c <= 122 or 65 <= c <= 90 or c == 95 or c >= 128 or 48 <= c <= 57
                    or c == 36
                ):  # fmt: skip
                    break
                at += 1
            length = at - start
            if length == 1 and at < size:
                c = p[start] | 32
                if p[at] == 39:  # a literal's prefix
                    if c == 101:
                        at = _behind_string(text, at, True)
                        if at < 0:
                            return _UNKNOWN
                        reader.take_other(b"e")
                        continue
                    if c == 98 or c == 120 or c == 110:
                        continue
                if c == 117 and p[at] == 38 and at + 1 < size and (
                    p[at + 1] == 34 or p[at + 1] == 39
                ):  # fmt: skip
                    # Escapes in names and strings: what is called may be spelled in them.
                    return _UNKNOWN
            reader.take_word(start, at, False)
            c = p[start] | 32
            if (
                (c == 116 and (length == 4 or length == 9))
                or (c == 104 and length == 4)
                or ((c == 99 or c == 115) and length == 7)
                or (c == 112 and length > 6 and p[start + 1] | 32 == 103 and p[start + 2] == 95)
            ):
                reader.take_mark()
        elif c == 32 or 9 <= c <= 13:
            at += 1
        elif c == 40:
            reader.open()
            at += 1
        elif c == 41:
            reader.close()
            at += 1
        elif c == 39:
            start = at
            at = _behind_string(text, at, False)
            if at < 0:
                return _UNKNOWN
            reader.take_other(text[start:at].lower() if at - start < 8 else b"''")
        elif c == 34:
            start = at + 1
            at = _behind_quotes(text, at)
            if at < 0:
                return _UNKNOWN
            reader.take_word(start, at - 1, True)
            reader.take_mark()
        elif c == 59:
            reader.end()
            reader.renew()
            at += 1
        elif c == 46:
            if reader.last == _CLOSED:
                reader.last = _FIELD
            else:
                reader.last = _DOT if reader.last == _WORD else _OTHER
            at += 1
        elif c == 45 and at + 1 < size and p[at + 1] == 45:
            at = text.find(b"\n", at)
            if at < 0:
                at = size
        elif c == 47 and at + 1 < size and p[at + 1] == 42:
            at = _behind_comment(text, at)
            if at < 0:
                return _UNKNOWN
        elif c == 36:
            at = _behind_dollar(text, at)
            if at < 0:
                return _UNKNOWN
            reader.take_other(b"$")
        elif 48 <= c <= 57:
            at += 1
            while at < size and (p[at] == 46 or 48 <= p[at] <= 57 or p[at] | 32 == 101):
                at += 1
            reader.take_other(b"0")
        else:
            if reader.config >= 0:
                reader.take_other(text[at : at + 1])
            else:
                reader.last = _OTHER
            at += 1
    reader.end()
    return reader.result()


def _behind_string(text: bytes, at: int, has_escapes: bool) -> int:
    """Behind the literal whose quote is at ``at``; -1 where it has no end."""
    at += 1
    while True:
        end = text.find(b"'", at)
        if end < 0:
            return -1
        if has_escapes:
            escape = text.find(b"\\", at, end)
            if escape >= 0:
                at = escape + 2
                continue
        if text[end + 1 : end + 2] != b"'":
            return end + 1
        at = end + 2


def _behind_quotes(text: bytes, at: int) -> int:
    at += 1
    while True:
        end = text.find(b'"', at)
        if end < 0:
            return -1
        if text[end + 1 : end + 2] != b'"':
            return end + 1
        at = end + 2


def _behind_comment(text: bytes, at: int) -> int:
    """Comments nest."""
    depth = 0
    while True:
        opens, closes = text.find(b"/*", at), text.find(b"*/", at)
        if closes < 0:
            return -1
        if 0 <= opens < closes:
            depth += 1
            at = opens + 2
        else:
            depth -= 1
            at = closes + 2
            if depth == 0:
                return at


def _behind_dollar(text: bytes, at: int) -> int:
    """Behind a parameter, or a string in dollar quotes."""
    end = text.find(b"$", at + 1)
    tag = text[at + 1 : end] if end > 0 else b"0"
    if tag[:1].isdigit() or not all(c == 95 or c >= 128 or chr(c).isalnum() for c in tag):
        at += 1
        while text[at : at + 1].isdigit():
            at += 1
        return at
    closing = text.find(text[at : end + 1], end + 1)
    return -1 if closing < 0 else closing + end + 1 - at


def _has_in_a_row(words: list[bytes], wanted: tuple[bytes, ...]) -> bool:
    return any(tuple(words[i : i + len(wanted)]) == wanted for i in range(len(words)))
