"""How one setting's value is read and checked. Knows no setting by name.

A reader takes the value as TOML gives it, or the text of an environment variable,
and returns the checked value or raises ``SettingError``. Its words complete the
sentence "audit.folder must be ..."; they never repeat the value, which may be a
secret that was put into the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

from proxy.config.durations import parse_duration

# Longer than any path Linux accepts (PATH_MAX, 4096) and any URL we take.
_LONGEST_TEXT = 4_096
_URL = re.compile(r"([a-z0-9+]+)://(.*)", re.DOTALL)
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class SettingError(ValueError):
    """What is wrong with a value, as the end of a sentence that names its place."""


class Reader(Protocol):
    """Reads one value. ``folder`` is what relative paths are relative to."""

    def read(self, raw: object, folder: Path) -> Any:
        """The checked value of a TOML value. Raises SettingError."""
        ...

    def from_text(self, text: str) -> object:
        """The TOML value an environment variable's text stands for. Raises SettingError."""
        ...


def _plain_text(raw: object) -> str:
    if not isinstance(raw, str):
        raise SettingError("must be text in quotes")
    if len(raw) > _LONGEST_TEXT:
        raise SettingError(f"must be at most {_LONGEST_TEXT} characters long")
    if any(ord(character) < 32 or ord(character) == 127 for character in raw):
        raise SettingError("must not hold control characters")
    return raw


@dataclass(frozen=True, slots=True)
class Flag:
    """``true`` or ``false``."""

    def read(self, raw: object, folder: Path) -> bool:
        """The flag."""
        if not isinstance(raw, bool):
            raise SettingError("must be true or false")
        return raw

    def from_text(self, text: str) -> object:
        """``true`` or ``false`` in any case; nothing else, so that no typo means yes."""
        words = {"true": True, "false": False}
        return words.get(text.strip().lower(), text)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number in a range, both ends included."""

    low: int
    high: int

    def read(self, raw: object, folder: Path) -> int:
        """The number."""
        if not isinstance(raw, int) or isinstance(raw, bool):
            raise SettingError(f"must be a whole number from {self.low} to {self.high}")
        if not self.low <= raw <= self.high:
            raise SettingError(f"must be from {self.low} to {self.high}")
        return raw

    def from_text(self, text: str) -> object:
        """Decimal digits."""
        text = text.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text


@dataclass(frozen=True, slots=True)
class Seconds:
    """A length of time: seconds as a number, or text with a unit. 0 where allowed means off."""

    low: float
    high: float
    may_be_off: bool = False

    def read(self, raw: object, folder: Path) -> float:
        """Seconds."""
        if isinstance(raw, str):
            try:
                value = parse_duration(raw)
            except ValueError as error:
                raise SettingError(str(error)) from None
        elif isinstance(raw, int | float) and not isinstance(raw, bool):
            value = float(raw)
        else:
            raise SettingError('must be a number of seconds, or text such as "30s"')
        if self.may_be_off and value == 0:
            return 0.0
        if not self.low <= value <= self.high:
            off = " (or 0 for no limit)" if self.may_be_off else ""
            raise SettingError(f"must be from {self.low:g} to {self.high:g} seconds{off}")
        return value

    def from_text(self, text: str) -> object:
        """A plain number of seconds, or text with a unit."""
        text = text.strip()
        return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) else text


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, raw: object, folder: Path) -> str:
        """The word."""
        if not isinstance(raw, str) or raw not in self.words:
            raise SettingError(f"must be one of {', '.join(self.words)}")
        return raw

    def from_text(self, text: str) -> object:
        """As it stands."""
        return text.strip()


@dataclass(frozen=True, slots=True)
class Choices:
    """Some of a few words, or none."""

    words: tuple[str, ...]

    def read(self, raw: object, folder: Path) -> tuple[str, ...]:
        """The words, in our own order."""
        if not isinstance(raw, list) or any(word not in self.words for word in raw):
            raise SettingError(f"must be a list of some of {', '.join(self.words)}")
        return tuple(word for word in self.words if word in raw)

    def from_text(self, text: str) -> object:
        """Words between commas."""
        return [entry.strip() for entry in text.split(",")] if text.strip() else []


@dataclass(frozen=True, slots=True)
class Host:
    """An address to listen on: an IP address or a host name, without a port."""

    def read(self, raw: object, folder: Path) -> str:
        """The host."""
        text = _plain_text(raw)
        if not re.fullmatch(r"[0-9A-Za-z.:_%-]{1,253}", text):
            raise SettingError("must be an IP address or a host name, without a port")
        return text

    def from_text(self, text: str) -> object:
        """As it stands."""
        return text.strip()


@dataclass(frozen=True, slots=True)
class HostNames:
    """Host names, without ports."""

    def read(self, raw: object, folder: Path) -> tuple[str, ...]:
        """The names in small letters."""
        if not isinstance(raw, list) or len(raw) > 64:
            raise SettingError('must be a list of at most 64 host names, as ["admin.example"]')
        names = tuple(_plain_text(entry).lower() for entry in raw)
        if not all(re.fullmatch(r"[0-9a-z]([0-9a-z.-]{0,251}[0-9a-z])?", name) for name in names):
            raise SettingError("must hold host names, without ports")
        return names

    def from_text(self, text: str) -> object:
        """Names between commas."""
        return [entry.strip() for entry in text.split(",")] if text.strip() else []


@dataclass(frozen=True, slots=True)
class ServerVersion:
    """What a MySQL greeting says: a version number, and printable text behind it."""

    def read(self, raw: object, folder: Path) -> str:
        """The text; empty means the protocol's own choice."""
        text = _plain_text(raw)
        number = r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}"
        if text and not re.fullmatch(number + "[0-9A-Za-z.+~_-]{0,60}", text):
            raise SettingError("must begin with three numbers, as 8.0.36")
        return text

    def from_text(self, text: str) -> object:
        """As it stands."""
        return text.strip()


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path; a relative one is relative to the configuration file's folder.

    Where ``may_be_absent``, empty text means None.
    """

    may_be_absent: bool = False

    def read(self, raw: object, folder: Path) -> Path | None:
        """The absolute path, not looked at."""
        text = _plain_text(raw)
        if not text:
            if self.may_be_absent:
                return None
            raise SettingError("must name a path")
        return folder / text

    def from_text(self, text: str) -> object:
        """As it stands."""
        return text


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``."""

    def read(self, raw: object, folder: Path) -> str:
        """The URL with its asynchronous driver named and SQLite's file made absolute."""
        match = _URL.fullmatch(_plain_text(raw))
        driver = _DRIVERS.get(match[1]) if match else None
        if match is None or driver is None:
            raise SettingError("must start with sqlite:/// or postgresql://")
        rest = match[2]
        if driver != "sqlite+aiosqlite":
            return f"{driver}://{rest}"
        if not rest.startswith("/") or rest in ("/", "/:memory:"):
            raise SettingError("must name the database file, as in sqlite:///data/accode.db")
        return f"{driver}:///{quote(str(folder / unquote(rest[1:])))}"

    def from_text(self, text: str) -> object:
        """As it stands."""
        return text.strip()


@dataclass(frozen=True, slots=True)
class Ports:
    """Port numbers and ranges: ``[5432, "6000-6999"]``, as pairs (first, last)."""

    def read(self, raw: object, folder: Path) -> tuple[tuple[int, int], ...]:
        """The ranges, in the order given."""
        # 64 entries are more than any rule a person keeps in mind.
        if not isinstance(raw, list) or not raw or len(raw) > 64:
            raise SettingError('must be a list of 1 to 64 ports, such as [5432, "6000-6999"]')
        return tuple(_port_range(entry) for entry in raw)

    def from_text(self, text: str) -> object:
        """Ports and ranges between commas."""
        return [entry.strip() for entry in text.split(",")]


def _port_range(entry: object) -> tuple[int, int]:
    if isinstance(entry, bool) or not isinstance(entry, int | str):
        raise SettingError('must hold ports, as 5432 or "6000-6999"')
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", str(entry), re.ASCII)
    if match is None:
        raise SettingError('must hold ports, as 5432 or "6000-6999"')
    first = int(match[1])
    last = int(match[2] or match[1])
    if not 1 <= first <= last <= 65_535:
        raise SettingError("must hold ports from 1 to 65535, the lower one of a range first")
    return first, last
