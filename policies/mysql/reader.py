"""A statement's tokens, taken from the left: for grammars short enough to be read whole."""

from __future__ import annotations

from typing import Final

from policies.facts import Name
from policies.mysql.lexer import LexError, Sort, Token

_NOTHING: Final = frozenset({"tables", "table", "as", "read", "write", "set", "select", "if"})


class Reader:
    """The tokens of one statement, taken from the left."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def word(self, *words: str) -> str:
        """Take a word if it is one of these; else ""."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.sort is Sort.WORD and token.lower in words:
                self._at += 1
                return token.lower
        return ""

    def sign(self, text: str) -> bool:
        """Take this sign, if it is next."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.sort is Sort.SIGN and token.text == text:
                self._at += 1
                return True
        return False

    def opens(self) -> bool:
        """Whether the next token is an opening parenthesis; it is left there."""
        if self._at == len(self._tokens):
            return False
        token = self._tokens[self._at]
        return token.sort is Sort.SIGN and token.text == "("

    def follows(self, *words: str) -> bool:
        """Whether the next token is one of these words; it is left there."""
        if self._at == len(self._tokens):
            return False
        token = self._tokens[self._at]
        return token.sort is Sort.WORD and token.lower in words

    def literal(self) -> str:
        """Take a string without escapes. Raises LexError."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            # What a backslash means depends on the character that follows, and on the server.
            if token.sort is Sort.STRING and "\\" not in token.text:
                self._at += 1
                return token.text
        raise LexError("a string without escapes was expected")

    def parenthesized(self) -> list[Token]:
        """Take what stands in parentheses, which were matched before. Raises LexError."""
        self.need(self.sign("("))
        start, depth = self._at, 1
        while depth:
            self.need(self._at < len(self._tokens))
            token = self._tokens[self._at]
            if token.sort is Sort.SIGN:
                depth += (token.text == "(") - (token.text == ")")
            self._at += 1
        return self._tokens[start : self._at - 1]

    def rest(self) -> list[Token]:
        """Take all that is left."""
        found, self._at = self._tokens[self._at :], len(self._tokens)
        return found

    def constant(self, *sorts: Sort) -> bool:
        """Take a constant of one of these sorts, if it is next."""
        if self._at < len(self._tokens) and self._tokens[self._at].sort in sorts:
            self._at += 1
            return True
        return False

    def name(self) -> Name:
        """Take a name of one or two parts. Raises LexError."""
        first = self.part()
        return Name(first, self.part()) if self.sign(".") else Name("", first)

    def part(self) -> str:
        """Take a name of one part. Raises LexError."""
        if self._at < len(self._tokens):
            token = self._tokens[self._at]
            is_name = token.sort is Sort.NAME or (
                token.sort is Sort.WORD and token.lower not in _NOTHING
            )
            if is_name:
                self._at += 1
                return token.text
        raise LexError("a name was expected")

    def names(self) -> frozenset[Name]:
        """Take names with commas between. Raises LexError."""
        found = [self.name()]
        while self.sign(","):
            found.append(self.name())
        return frozenset(found)

    def need(self, is_there: object) -> None:
        """Raises LexError where something has to be and is not."""
        if not is_there:
            raise LexError("a form that is not on the list")

    def end(self) -> None:
        """Raises LexError where anything is left."""
        self.need(self._at == len(self._tokens))
