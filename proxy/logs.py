"""The structured log: one line per event on stderr, and nothing secret in it.

Knows structlog and the standard library's logging, and what must not be written:
values of ``vault.Secret`` and bytes are refused whatever their key, keys that name
secrets are redacted whatever their value, and text is searched for tokens and for
passwords in URLs. Tracebacks name places, never local variables; the message of an
exception is shown only where its type is known not to quote values. Must never
raise: a log that cannot be written is counted and dropped.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Callable, Mapping
from typing import IO, Any, Literal

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from vault import Secret

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
REDACTED = "[redacted]"
REFUSED = "[refused]"

# Whole words of a key. "key" alone is not one of them: key_id, key_file are no secrets.
_SECRET_KEY = re.compile(
    r"(?:^|_)(?:password|passwd|pwd|passphrase|secret|token|credential|dsn|url|uri|"
    r"authorization|cookie|salt|proof|verifier|scramble|nonce|private_key|root_key|"
    r"client_key|server_key|stored_key|cancel_key|parameters|verifiers)$",
    re.IGNORECASE,
)
# A token, key or other secret text of ours, and the password part of any URL.
_TOKEN = re.compile(r"(ac[dikops]_)[0-9A-Za-z_-]{4,}")
_URL_PASSWORD = re.compile(r"(://[^\s/:@'\"]*):[^\s@'\"]*@")
_KEYWORD_PASSWORD = re.compile(r"\b(password|passwd|secret)(\s*=\s*)\S+", re.IGNORECASE)
# A log line is for people; a longer value belongs into the audit log.
_LONGEST_VALUE = 2_048
_DEEPEST = 4
_MOST_ENTRIES = 64
_MOST_FRAMES = 32
_OUR_PACKAGES = ("protocols.", "policies.", "vault.", "proxy.")


class LineWriter:
    """Writes whole lines to a stream and outlives it.

    A closed pipe or a full disk must not end a session: ``lost`` counts the lines that
    could not be written.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.lost = 0

    def write(self, line: str) -> None:
        """Write one line at once."""
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            # ValueError: the stream was closed.
            except (OSError, ValueError):
                self.lost += 1


class _NamedWriter:
    """What structlog hands a finished line to; ``name`` is the logger's."""

    def __init__(self, writer: LineWriter, name: str) -> None:
        self.name = name
        self.msg = writer.write
        self.debug = self.info = self.warning = self.error = self.critical = writer.write


class _ToStructlog(logging.Handler):
    """Routes the standard library's records into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record; only its first line, for asyncio appends objects' reprs."""
        try:
            text = record.getMessage()
        # A broken format in a library's call must not end what it was doing.
        except (TypeError, ValueError, KeyError):
            text = "a log message that could not be formatted"
        lines = text.splitlines()
        logger = get_logger(record.name)
        level = max(level for level in _LEVELS.values() if level <= max(record.levelno, 10))
        error = record.exc_info[1] if record.exc_info else None
        logger.log(level, lines[0] if lines else "", **({"exc_info": error} if error else {}))


def configure(
    shape: Literal["auto", "json", "console"] = "auto",
    level: str = "info",
    stream: IO[str] | None = None,
    *,
    worker: int | None = None,
) -> LineWriter:
    """Set up logging for the whole process. Returns the writer, for its ``lost`` count.

    ``worker``: the seat that each line names, where several processes write.
    """
    stream = stream if stream is not None else sys.stderr
    is_console = shape == "console" or (shape == "auto" and stream.isatty())
    writer = LineWriter(stream)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if is_console
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_name,
            *([] if worker is None else [_adder_of_worker(worker)]),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            describe_exception,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda name="": _NamedWriter(writer, name),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_ToStructlog()]
    root.setLevel(_LEVELS[level])
    # Its debug and info lines tell of selectors and of every statement of the store.
    for name in ("asyncio", "sqlalchemy", "aiosqlite", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _on_uncaught
    threading.excepthook = _on_thread_uncaught
    sys.unraisablehook = _on_unraisable
    return writer


def get_logger(name: str = "") -> FilteringBoundLogger:
    """A logger; its name goes into each of its lines. May be made before ``configure``."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _add_name(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if logger.name:
        event["logger"] = logger.name
    return event


def _adder_of_worker(worker: int) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def add(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        event["worker"] = worker
        return event

    return add


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: replace what must not be written."""
    return _clean_entries(event, 0)


def describe_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: ``exc_info`` becomes error type, message and places."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()[1]
    elif isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        event["error"] = describe(given)
        event["places"] = _places(given)
    return event


def describe(error: BaseException) -> str:
    """An exception's type and, where that can hold no value of anyone, its message.

    A ValueError or KeyError quotes the value it stumbled over; an OSError names what
    the system said, and our own exceptions are written to be shown.
    """
    kind = type(error)
    if isinstance(error, OSError) or kind.__module__.startswith(_OUR_PACKAGES):
        return f"{kind.__name__}: {_clean_text(str(error))}"
    return kind.__name__


def _places(error: BaseException) -> list[str]:
    """Where an exception passed, outermost first, with the exceptions it came from."""
    places: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(places) < _MOST_FRAMES:
        seen.add(id(current))
        if current is not error:
            places.append(f"after {describe(current)}")
        for frame in traceback.extract_tb(current.__traceback__, limit=-_MOST_FRAMES):
            places.append(f"{frame.filename}:{frame.lineno} in {frame.name}")
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return places[:_MOST_FRAMES]


def loop_exception_handler(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
    """For ``loop.set_exception_handler``: asyncio's own would print reprs of objects."""
    error = context.get("exception")
    get_logger("asyncio").error(
        str(context.get("message") or "an error in the event loop"),
        **({"exc_info": error} if error is not None else {}),
    )


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, Secret | bytes | bytearray | memoryview):
        return REFUSED
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, BaseException):
        return describe(value)
    if depth >= _DEEPEST:
        return REFUSED
    if isinstance(value, Mapping):
        return _clean_entries(dict(list(value.items())[:_MOST_ENTRIES]), depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(entry, depth + 1) for entry in list(value)[:_MOST_ENTRIES]]
    # An object's repr may hold anything, so only its type is told.
    return f"[{type(value).__name__}]"


def _clean_entries(entries: Mapping[str, Any], depth: int) -> dict[str, Any]:
    return {
        _clean_text(str(key)): REDACTED
        if _SECRET_KEY.search(str(key)) and not isinstance(value, bool | int | None)
        else _clean(value, depth)
        for key, value in entries.items()
    }


def _clean_text(text: str) -> str:
    """Without secrets of a known shape, and on one line."""
    text = text[:_LONGEST_VALUE]
    text = _TOKEN.sub(rf"\1{REDACTED}", text)
    text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    text = _KEYWORD_PASSWORD.sub(rf"\1\2{REDACTED}", text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    get_logger().critical("the program ends on an unexpected error", exc_info=error)


def _on_thread_uncaught(arguments: threading.ExceptHookArgs) -> None:
    get_logger().error("a thread ended on an unexpected error", exc_info=arguments.exc_value)


def _on_unraisable(arguments: Any) -> None:
    get_logger().error("an error that could not be raised", exc_info=arguments.exc_value)
