"""The log: lines of text or of JSON on stderr, each with the id of its request, none with anything personal in it.

What an exception says may be what a customer has typed, or PostgreSQL's `Key (email)=(…)`. So a traceback has places
and kinds of what went wrong, and words only where they can but be about the program.
"""

import json
import logging
import re
import secrets
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from copy import copy
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, TextIO

LogFormat = Literal["text", "json"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

# Which request, or which page's connection, is being answered; none in the workers.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_GIVEN: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ADDRESS: Final = re.compile(r"[^\s<>()\"',;:=@]+@[^\s<>()\"',;:=@]+")
# What these say comes from Python itself, and is about names and types in the program.
_ABOUT_CODE: Final = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)
# How far back the causes of an exception are followed.
_MOST_CAUSES: Final = 10
_PLAIN: Final = "%(levelname)s %(name)s: %(message)s"
_Caught = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up(kind: LogFormat = "text", level: LogLevel = "WARNING") -> None:
    """Write the log to stderr from now on. `level` is that of this product; libraries only speak up from WARNING on."""
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one, _Stderr)]:
        root.removeHandler(before)
    handler = _Stderr()
    handler.setFormatter(JsonLines() if kind == "json" else TextLines(_PLAIN))
    root.addHandler(handler)
    ours = logging.getLevelNamesMapping()[level]
    root.setLevel(max(ours, logging.WARNING))
    logging.getLogger("expert_booking").setLevel(ours)
    sys.excepthook = _end_with


def say(sentence: str) -> None:
    """Tell whoever has started the program, on stderr; as a line of the log where its lines are for programs."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, _Stderr) and isinstance(handler.formatter, JsonLines):
            handler.handle(logging.LogRecord("expert_booking", logging.INFO, __file__, 0, sentence, (), None))
            return
    print(sentence, file=sys.stderr, flush=True)


def request_id_of(given: bytes | None) -> str:
    """The id that somebody before us has given to a request, if it is well-formed; otherwise a new one."""
    if given is not None and _GIVEN.fullmatch(given):
        return given.decode()
    return secrets.token_hex(8)


class TextLines(logging.Formatter):
    """One line for people, and below it where it went wrong."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its request's id at the end where it has one."""
        record = _impersonal(record)
        name = request_id.get()
        line = super().format(record)
        if name is None:
            return line
        first, end, rest = line.partition("\n")
        return f"{first} [{name}]{end}{rest}"

    def formatException(self, caught: _Caught) -> str:  # noqa: N802 - logging's own name
        """Where it went wrong."""
        return _told_of(caught)


class JsonLines(TextLines):
    """One object in a line for programs: time, level, logger, message, requestId, exception, and what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        record = _impersonal(record)
        name = request_id.get()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **({} if name is None else {"requestId": name}),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Stderr(logging.StreamHandler[TextIO]):
    """Ours, and no others: a library or a test may have handlers too. Writes to where stderr is by then."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def told(error: BaseException) -> str:
    """Where an exception and its causes came from, without their words, which may be those of a customer."""
    parts = []
    for cause in reversed(list(_causes(error))):
        frames = "".join(traceback.format_tb(cause.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{_name_of(cause)}")
    return "\n\n".join(parts)


def _told_of(caught: _Caught) -> str:
    return told(caught[1]) if caught[1] is not None else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if found is None:
            return
        yield found
        if isinstance(found, BaseExceptionGroup):
            for one in found.exceptions[:_MOST_CAUSES]:
                yield from _causes(one)
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _name_of(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    known = _known_of(error)
    return f"{name}: {known}" if known else name


def _known_of(error: BaseException) -> str:
    """What can be said of it: words about the program, the database's codes and names, the system's number."""
    if isinstance(error, _ABOUT_CODE):
        return _without_addresses(str(error))
    diag = getattr(error, "diag", None)
    named = (getattr(diag, f"{kind}_name", None) for kind in ("constraint", "table"))
    known = [getattr(error, "sqlstate", None), *named]
    if isinstance(error, OSError) and error.errno is not None:
        known.append(f"errno {error.errno}")
    return ", ".join(str(one) for one in known if one)


def _impersonal(record: logging.LogRecord) -> logging.LogRecord:
    """The same without addresses, and with kinds where others (NiceGUI, asyncio) log what an exception says."""
    record = copy(record)  # other handlers have theirs
    if isinstance(record.msg, BaseException):
        record.msg, record.args = _name_of(record.msg), ()
    elif isinstance(record.args, tuple):
        record.args = tuple(_name_of(one) if isinstance(one, BaseException) else one for one in record.args)
    message = record.getMessage()
    if record.name == "asyncio":
        message = message.partition("\n")[0]  # what follows is the task in full, with what its exception says
    record.msg, record.args = _without_addresses(message), ()
    record.exc_text = None  # whatever another handler has made of it
    return record


def _without_addresses(text: str) -> str:
    return _ADDRESS.sub("(address)", text) if "@" in text else text


def _end_with(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("expert_booking").critical("this has ended the program", exc_info=(kind, error, trace))
