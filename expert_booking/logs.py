"""The log: text or JSON lines on stderr, each with its request id, without personal data.

The message of an exception may quote what a customer typed, or PostgreSQL's `Key (email)=(…)`. So tracebacks contain
locations and exception types, and messages only of exceptions that are about code.

Log messages may contain text from strangers. They are cut to 2,000 characters and control characters are escaped, so a
message is always one line. The same traceback is written at most ten times a minute.
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

# The id of the current request or websocket connection; None in background workers.
request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WORD: Final = r"[^\s<>()\"',;:=@]"
# Only tried at the beginning of a word, so that the time is linear in the length of the text, not quadratic.
_ADDRESS: Final = re.compile(f"(?<!{_WORD}){_WORD}++@{_WORD}++")
# Characters of a message.
_MAX_MESSAGE: Final = 2000
# Characters that could begin a new line, control a terminal or reverse the direction of text.
_CONTROLS: Final = (
    *range(0x20), *range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, 0x2028, 0x2029, *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
)  # fmt: skip
_ESCAPES: Final = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS} | {
    ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t",
}  # fmt: skip
# How often the same traceback is written in a minute, and how many different ones are counted.
_SAME_TRACES: Final = 10
_MAX_COUNTED_TRACES: Final = 1000
_MINUTE: Final = 60.0
# These add their own handlers, unless their level is set before their servers are created.
_WITH_HANDLERS: Final = ("engineio.server", "engineio.client", "socketio.server", "socketio.client")
# Messages of these come from Python itself, and are about names and types in the code.
_ABOUT_CODE: Final = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)
# How many causes of an exception are logged.
_MAX_CAUSES: Final = 10
_PLAIN: Final = "%(levelname)s %(name)s: %(message)s"
_Caught = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def set_up(kind: LogFormat = "text", level: LogLevel = "WARNING") -> None:
    """Write the log to stderr. `level` applies to this product; libraries log from WARNING on."""
    root = logging.getLogger()
    for before in [one for one in root.handlers if isinstance(one, _Stderr)]:
        root.removeHandler(before)
    handler = _Stderr()
    handler.setFormatter(JsonLines() if kind == "json" else TextLines(_PLAIN))
    root.addHandler(handler)
    own_level = logging.getLevelNamesMapping()[level]
    root.setLevel(max(own_level, logging.WARNING))
    logging.getLogger("expert_booking").setLevel(own_level)
    _remove_other_handlers()
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


def _remove_other_handlers() -> None:
    """Make the loggers of all libraries propagate to the root, so that all lines have one format."""
    for name in _WITH_HANDLERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.propagate = True
            for handler in list(logger.handlers):
                logger.removeHandler(handler)


def say(sentence: str) -> None:
    """Print a sentence for the operator on stderr; as a log line if the log is JSON."""
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, _Stderr) and isinstance(handler.formatter, JsonLines):
            handler.handle(logging.LogRecord("expert_booking", logging.INFO, __file__, 0, sentence, (), None))
            return
    print(sentence, file=sys.stderr, flush=True)


def request_id_of(given: bytes | None) -> str:
    """The id that a proxy gave to a request, if it is well-formed; otherwise a new one."""
    if given is not None and _VALID_ID.fullmatch(given):
        return given.decode()
    return secrets.token_hex(8)


class CountedWarning:
    """A warning about something that strangers can cause: at most one line a minute, with the number of times."""

    def __init__(self, log: logging.Logger, sentence: str) -> None:
        """`sentence` contains one `%d`, for the number."""
        self._log = log
        self._sentence = sentence
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self) -> None:
        """Count one more occurrence. Call on the event loop."""
        self._count += 1
        if self._timer is None:
            self._write()

    def _write(self) -> None:
        self._timer = None
        if self._count:
            self._log.warning(self._sentence, self._count)
            self._count = 0
            # In a new context, so that the line has no request id.
            self._timer = asyncio.get_running_loop().call_later(_MINUTE, self._write, context=Context())


class TextLines(logging.Formatter):
    """One line of text for each record, followed by its traceback if any."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._traces: Counter[Hashable] = Counter()
        self._counted_since = monotonic()

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the request id at the end if there is one."""
        record = _impersonal(record)
        record.msg = _one_line(record.msg)
        name = request_id.get()
        line = super().format(record)
        if name is None:
            return line
        first, end, rest = line.partition("\n")
        return f"{first} [{name}]{end}{rest}"

    def formatException(self, caught: _Caught) -> str:  # noqa: N802 - logging's own name
        """The traceback; if it was written ten times in the last minute, a short note instead."""
        error = caught[1]
        if error is None:
            return ""
        if self._is_frequent(error):
            return f"{_type_and_details(error)} (same traceback, written {_SAME_TRACES} times in the last minute)"
        return safe_traceback(error)

    def _is_frequent(self, error: BaseException) -> bool:
        if monotonic() - self._counted_since > _MINUTE or len(self._traces) > _MAX_COUNTED_TRACES:
            self._traces.clear()
            self._counted_since = monotonic()
        key = type(error), _innermost_location(error)
        self._traces[key] += 1
        return self._traces[key] > _SAME_TRACES


class JsonLines(TextLines):
    """One JSON object per line: time, level, logger, message, requestId, exception and the record's own fields."""

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
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line).replace("\x7f", "\\u007f")


class _Stderr(logging.StreamHandler[TextIO]):
    """The handler of `set_up`, told apart from others by its class. Follows `sys.stderr` when it is replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def safe_traceback(error: BaseException) -> str:
    """The traceback of an exception and its causes without their messages, which may quote a customer."""
    parts = []
    for cause in reversed(list(_causes(error))):
        frames = "".join(traceback.format_tb(cause.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{_type_and_details(cause)}")
    return "\n\n".join(parts)


def _innermost_location(error: BaseException) -> Hashable:
    """Code and line where the exception was raised."""
    trace, location = error.__traceback__, None
    while trace is not None:
        location, trace = (trace.tb_frame.f_code, trace.tb_lineno), trace.tb_next
    return location


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, its causes and the members of exception groups: the first ten, each once."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MAX_CAUSES:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        before = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
        if before is not None:
            waiting.append(before)
        if isinstance(found, BaseExceptionGroup):
            waiting.extend(reversed(found.exceptions[:_MAX_CAUSES]))


def _type_and_details(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    details = _safe_details(error)
    return f"{name}: {details}" if details else name


def _safe_details(error: BaseException) -> str:
    """What is never personal: messages about code, SQLSTATE, names of constraints and tables, errno."""
    if isinstance(error, _ABOUT_CODE):
        return _one_line(_without_addresses(str(error)[:_MAX_MESSAGE]))
    diag = getattr(error, "diag", None)
    names = (getattr(diag, f"{kind}_name", None) for kind in ("constraint", "table"))
    details = [getattr(error, "sqlstate", None), *names]
    if isinstance(error, OSError) and error.errno is not None:
        details.append(f"errno {error.errno}")
    return ", ".join(str(one) for one in details if one)


def _impersonal(record: logging.LogRecord) -> logging.LogRecord:
    """A copy without email addresses, and with exception types where NiceGUI or asyncio log an exception's message."""
    record = copy(record)  # other handlers get the original
    if isinstance(record.msg, BaseException):
        record.msg, record.args = _type_and_details(record.msg), ()
    elif isinstance(record.args, tuple):
        record.args = tuple(_type_and_details(one) if isinstance(one, BaseException) else one for one in record.args)
    message = record.getMessage()
    if record.name == "asyncio":
        message = message.partition("\n")[0]  # what follows is the task's repr, with the message of its exception
    record.msg, record.args = _without_addresses(_shortened(message)), ()
    record.exc_text = None  # may be cached by another handler
    return record


def _shortened(text: str) -> str:
    if len(text) <= _MAX_MESSAGE:
        return text
    # Cut at a space if there is one: half an email address would not be recognized and removed.
    start = text[:_MAX_MESSAGE]
    start = start.rpartition(" ")[0] or start
    return f"{start} … ({len(text) - len(start)} more characters)"


def _one_line(text: str) -> str:
    """Escape control characters."""
    return text.translate(_ESCAPES)


def _without_addresses(text: str) -> str:
    return _ADDRESS.sub("(address)", text) if "@" in text else text


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("expert_booking").critical("uncaught exception, exiting", exc_info=(kind, error, trace))
