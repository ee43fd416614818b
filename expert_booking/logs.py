"""The log: lines of text or of JSON on stderr, each with the id of its request, none with anything personal in it.

What an exception says may be what a customer has typed, or PostgreSQL's `Key (email)=(…)`. So a traceback has places
and kinds of what went wrong, and words only where they can but be about the program.

Messages may contain text that a stranger sent. They are cut to 2,000 characters, and control characters are escaped, so
a message is always one line. The same traceback is written at most ten times a minute.
"""

import asyncio
import json
import logging
import re
import secrets
import sys
import traceback
from collections import Counter
from collections.abc import Hashable, Iterator
from contextvars import Context, ContextVar
from copy import copy
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Any, Final, Literal, TextIO

LogFormat = Literal["text", "json"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

# Which request, or which page's connection, is being answered; none in the workers.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_GIVEN: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WORD: Final = r"[^\s<>()\"',;:=@]"
# Only tried where a word begins, so that the time grows with the length of the text and not with its square.
_ADDRESS: Final = re.compile(f"(?<!{_WORD}){_WORD}++@{_WORD}++")
# Characters of a message that are kept.
_LONGEST: Final = 2000
# What could begin a new line, control a terminal or reverse the direction of a line.
_CONTROLS: Final = (
    *range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)  # fmt: skip
_ESCAPES: Final = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS} | {
    ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t",
}  # fmt: skip
# How often the same traceback is written in one minute, and how many different ones are told apart.
_SAME_TRACES: Final = 10
_MOST_TRACES: Final = 1000
_MINUTE: Final = 60.0
# These bring handlers of their own, unless their level is set before their servers are made.
_WITH_HANDLERS: Final = ("engineio.server", "engineio.client", "socketio.server", "socketio.client")
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
    _remove_other_handlers()
    logging.captureWarnings(True)
    sys.excepthook = _end_with


def _remove_other_handlers() -> None:
    """Have the loggers of all libraries hand on to the root, so that every line has one format."""
    for name in _WITH_HANDLERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.propagate = True
            for handler in list(logger.handlers):
                logger.removeHandler(handler)


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


class CountedWarning:
    """A warning of something that strangers can cause: at most one line a minute, with how often it happened."""

    def __init__(self, log: logging.Logger, sentence: str) -> None:
        """`sentence` has one `%d`, for the number."""
        self._log = log
        self._sentence = sentence
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self) -> None:
        """It happened once more. Called on the event loop."""
        self._count += 1
        if self._timer is None:
            self._write()

    def _write(self) -> None:
        self._timer = None
        if self._count:
            self._log.warning(self._sentence, self._count)
            self._count = 0
            # Without the id of the connection that happened to be the first.
            self._timer = asyncio.get_running_loop().call_later(_MINUTE, self._write, context=Context())


class TextLines(logging.Formatter):
    """One line for people, and below it where it went wrong."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._traces: Counter[Hashable] = Counter()
        self._counted_since = monotonic()

    def format(self, record: logging.LogRecord) -> str:
        """The line, with its request's id at the end where it has one."""
        record = _impersonal(record)
        record.msg = _one_line(record.msg)
        name = request_id.get()
        line = super().format(record)
        if name is None:
            return line
        first, end, rest = line.partition("\n")
        return f"{first} [{name}]{end}{rest}"

    def formatException(self, caught: _Caught) -> str:  # noqa: N802 - logging's own name
        """Where it went wrong; after ten times in a minute only that it was the same."""
        error = caught[1]
        if error is None:
            return ""
        if self._is_frequent(error):
            return f"{_name_of(error)} (the same traceback was written {_SAME_TRACES} times in the last minute)"
        return told(error)

    def _is_frequent(self, error: BaseException) -> bool:
        if monotonic() - self._counted_since > _MINUTE or len(self._traces) > _MOST_TRACES:
            self._traces.clear()
            self._counted_since = monotonic()
        key = type(error), _place_of(error)
        self._traces[key] += 1
        return self._traces[key] > _SAME_TRACES


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
        return json.dumps(line).replace("\x7f", "\\u007f")


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


def _place_of(error: BaseException) -> Hashable:
    """The innermost place of a traceback."""
    trace, place = error.__traceback__, None
    while trace is not None:
        place, trace = (trace.tb_frame.f_code, trace.tb_lineno), trace.tb_next
    return place


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it is a group of, and its causes: the first ten, each once."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST_CAUSES:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        before = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
        if before is not None:
            waiting.append(before)
        if isinstance(found, BaseExceptionGroup):
            waiting.extend(reversed(found.exceptions[:_MOST_CAUSES]))


def _name_of(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    known = _known_of(error)
    return f"{name}: {known}" if known else name


def _known_of(error: BaseException) -> str:
    """What can be said of it: words about the program, the database's codes and names, the system's number."""
    if isinstance(error, _ABOUT_CODE):
        return _one_line(_without_addresses(str(error)[:_LONGEST]))
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
    record.msg, record.args = _without_addresses(_shortened(message)), ()
    record.exc_text = None  # whatever another handler has made of it
    return record


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    # Up to a space where there is one: half an address would not be known for one.
    start = text[:_LONGEST]
    start = start.rpartition(" ")[0] or start
    return f"{start} … ({len(text) - len(start)} more characters)"


def _one_line(text: str) -> str:
    """The text with its control characters escaped."""
    return text.translate(_ESCAPES)


def _without_addresses(text: str) -> str:
    return _ADDRESS.sub("(address)", text) if "@" in text else text


def _end_with(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("expert_booking").critical("this has ended the program", exc_info=(kind, error, trace))
