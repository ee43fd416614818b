"""`expert-booking doctor`: looks at whatever is known to go wrong, and says what to do. It changes nothing."""

import asyncio
import http.client
import importlib.metadata
import re
import time
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from expert_booking import open_files
from expert_booking.db import diagnostics, schema
from expert_booking.db.clock import MAX_OFFSET
from expert_booking.db.diagnostics import Connection, DiagnosticsError
from expert_booking.db.embedded import LEAST_FREE, EmbeddedPostgres, EmbeddedRefusal, free_space
from expert_booking.db.queue_sizes import QueueSizes
from expert_booking.mail.send import DeliveryError, SmtpTransport
from expert_booking.schemas import TOKEN_EXPIRES_SOON, ZONE_NAMES
from expert_booking.settings import Settings, WrongSetting, read_settings

# Seconds of the mail server, and those in which a server that runs will have worked off a note.
_PATIENCE: Final = 10.0
_A_ROUND: Final = 5.0
_OLDEST_VERSION: Final = 15
# Beside the pool each process has one connection that listens.
_LISTENER: Final = 1
_LITTLE_SPACE: Final = 2**30
# Below so many open files a server has fewer than 2,000 connections.
_FEW_FILES: Final = 4096
_MAKE_A_KEY: Final = "Make a new one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
IN_PSQL: Final = "In psql: "
_IS_IT_RUNNING: Final = "No server runs on this database; the next one that starts does it."

OpenDatabase = Callable[[Settings], AbstractContextManager[str]]


class State(StrEnum):
    """How it is: good; worth a look; or something does not work."""

    GOOD = "good"
    HINT = "hint"
    ILL = "ill"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found, and what to do about it. Nothing personal is in it."""

    check: str
    state: State
    says: str
    advice: str = ""


def run_checks(open_database: OpenDatabase) -> Iterator[Finding]:
    """All findings, one after the other. `open_database` lets the database answer while it lasts, and gives its url."""
    try:
        settings = read_settings()
        settings.check()
    except WrongSetting as wrong:
        yield Finding("settings", State.ILL, str(wrong), "Set it right; the others were not checked.")
        return
    yield Finding("settings", State.GOOD, "All settings are valid.")
    yield secret_key(settings)
    yield address(settings)
    yield time_zones(datetime.now(UTC))
    yield mail_server(settings)
    yield files(settings)
    if settings.redis_url is not None:
        yield redis(settings.redis_url)
    if settings.embedded:
        cluster = EmbeddedPostgres.find(settings.data_dir)
        if cluster is None:
            start = "Start `expert-booking` once, and it makes one; or set EXPERT_BOOKING_DATABASE_URL."
            yield Finding("database", State.ILL, f"There is no database in {settings.data_dir} yet.", start)
            return
        yield space(cluster)
    yield from _database(settings, open_database)


def _database(settings: Settings, open_database: OpenDatabase) -> Iterator[Finding]:
    try:
        with open_database(settings) as url, diagnostics.read_only(url) as connection:
            yield database(connection)
            yield clock(connection, url)
            yield connections(connection, settings.pool_size)
            yield news(connection, url)
            level = schema_level(url)
            yield level
            if level.state is State.GOOD:
                for check in (extensions, fences, bookings, indexes, triggers, expert_zones, tokens):
                    yield _asked(check, connection)
                yield from workers(connection, settings)
    except DiagnosticsError as error:
        where = "Does it run, and is EXPERT_BOOKING_DATABASE_URL right?"
        yield Finding("database", State.ILL, f"The database does not answer: {error}.", where)
    except EmbeddedRefusal as refusal:
        yield Finding("database", State.ILL, str(refusal))


def _asked(check: Callable[[Connection], Finding], connection: Connection) -> Finding:
    try:
        return check(connection)
    except DiagnosticsError as error:
        return Finding(check.__name__, State.ILL, f"This could not be looked at: {error}.", "Ask the database's admin.")


# --- without the database -----------------------------------------------------------------------------------------


def secret_key(settings: Settings) -> Finding:
    """Whether the key can be guessed, or read by others."""
    name = "secret key"
    if settings.secret_key is not None:
        if len(settings.secret_key) < 32 or len(set(settings.secret_key)) < 12:
            short = "EXPERT_BOOKING_SECRET_KEY is short or made of few different characters, so it may be guessed."
            return Finding(name, State.HINT, short, f"{_MAKE_A_KEY}; all links and tokens of bookings then end.")
        return Finding(name, State.GOOD, f"EXPERT_BOOKING_SECRET_KEY has {len(settings.secret_key)} characters.")
    path = settings.data_dir / "secret.key"
    if not path.exists():
        made = f"There is no {path}: the next start makes one, and links and tokens made before end."
        return Finding(name, State.HINT, made, "If there was one, put it back from your back-up.")
    if path.stat().st_mode & 0o077:
        return Finding(name, State.ILL, f"{path} can be read by others on this machine.", f"chmod 600 '{path}'")
    try:
        settings.secret()
    except WrongSetting as wrong:
        return Finding(name, State.ILL, "The key in the data folder does not count.", str(wrong))
    return Finding(name, State.GOOD, f"{path} is there, and nobody else can read it.")


def address(settings: Settings) -> Finding:
    """Whether cookies are safe on their way."""
    url, name = settings.public_url, "address"
    if url.startswith("https://"):
        return Finding(name, State.GOOD, f"People come to {url}; cookies are marked secure.")
    if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
        return Finding(name, State.GOOD, f"People come to {url}, from this machine alone.")
    told = f"People come to {url}: names and cookies travel in the open."
    return Finding(name, State.HINT, told, "Put a proxy with a certificate before it, and set EXPERT_BOOKING_BASE_URL.")


def time_zones(now: datetime) -> Finding:
    """Whether the rules of time zones are of this year or the last."""
    version, origin = _zone_rules()
    if version[:4].isdecimal() and int(version[:4]) >= now.year - 1:
        return Finding("time zones", State.GOOD, f"The rules of time zones are {version}, {origin}.")
    renew = "Update the system's package tzdata, or `pip install -U tzdata` where the system has none."
    return Finding("time zones", State.HINT, f"The rules of time zones are old: {version}, {origin}.", renew)


def _zone_rules() -> tuple[str, str]:
    # As zoneinfo itself looks for them: the system's first.
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / "Europe" / "Berlin").exists():
            return _version_in(folder), f"from {folder}"
    return importlib.metadata.version("tzdata"), "from the package tzdata"


def _version_in(folder: Path) -> str:
    for name in ("tzdata.zi", "+VERSION"):
        if (folder / name).exists():
            first = (folder / name).read_text(errors="replace").partition("\n")[0]
            return first.removeprefix("# version ").strip()
    return "of unknown version"


def mail_server(settings: Settings) -> Finding:
    """Whether the mail server lets us in. No mail is sent."""
    server, name = settings.smtp, "mail server"
    if server is None:
        if settings.mailbox:
            return Finding(name, State.GOOD, "Mail goes to the page /mailbox.")
        return Finding(name, State.HINT, "No mail is sent: it waits in the outbox.", "Set EXPERT_BOOKING_SMTP_URL.")
    where = f"{server.host}:{server.port}"
    try:
        asyncio.run(SmtpTransport(server, longest=_PATIENCE).check())
    except DeliveryError as refusal:
        advice = "Does it run, and are the name, port, user and password in EXPERT_BOOKING_SMTP_URL right?"
        return Finding(name, State.ILL, f"The mail server {where} does not let us in: {refusal.reason}.", advice)
    signed_in = "takes our sign-in" if server.user else "answers"
    return Finding(name, State.GOOD, f"The mail server {where} {signed_in}.")


def files(settings: Settings) -> Finding:
    """Whether a server may have enough files open, and is not about to run out of them."""
    name = "open files"
    running = _files_of_server(settings)
    if running:
        opened, limit = running
        told = f"The server that is running has {opened} of {limit} files open."
    else:
        opened, limit = 0, open_files.highest_limit()
        told = f"A server that is started here may have {limit} files open."
    if limit < _FEW_FILES or opened >= open_files.NEAR_LIMIT * limit:
        return Finding(name, State.HINT, told, open_files.ADVICE)
    return Finding(name, State.GOOD, told)


def _files_of_server(settings: Settings) -> tuple[int, int] | None:
    """How many files the server has open and may have open. None where there is none, or it does not tell us."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    token = {"Authorization": f"Bearer {settings.metrics_token}"} if settings.metrics_token else {}
    connection = http.client.HTTPConnection(host, settings.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics", headers=token)
        figures = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()
    found = dict(re.findall(r"^process_(open|max)_fds (\S+)$", figures, re.MULTILINE))
    return (int(float(found["open"])), int(float(found["max"]))) if len(found) == 2 else None


def redis(url: str) -> Finding:
    """Whether news come through Redis. What is sent to try it goes where nobody else listens."""
    try:
        from redis.exceptions import RedisError  # its library is there for those who want it

        from expert_booking.redis_feed import news_take
    except ModuleNotFoundError:
        missing = "EXPERT_BOOKING_REDIS_URL needs one more library."
        return Finding("redis", State.ILL, missing, "pip install 'expert-booking[redis]'")
    try:
        took = news_take(url)
    except (RedisError, OSError) as error:
        says = f"Redis does not let news through ({type(error).__name__}); pages are right every 30 seconds only."
        advice = "Does it run, is EXPERT_BOOKING_REDIS_URL right, and may this user publish and subscribe?"
        return Finding("redis", State.ILL, says, advice)
    told = f"News through Redis arrive in {1000 * took:.1f} ms."
    return Finding("redis", State.GOOD if took < 1 else State.HINT, told)


def space(cluster: Path) -> Finding:
    """Whether the disk of the embedded database has room."""
    free = free_space(cluster)
    told = f"{free / 2**30:.1f} GB are free where the data lies."
    if free < _LITTLE_SPACE:
        state = State.ILL if free < LEAST_FREE else State.HINT
        return Finding("disk", state, told, "Make room: PostgreSQL stops when the disk is full.")
    return Finding("disk", State.GOOD, told)


# --- the database -------------------------------------------------------------------------------------------------


def database(connection: Connection) -> Finding:
    """Whether it is new enough."""
    began = time.monotonic()
    major, whole = diagnostics.version(connection)
    took = 1000 * (time.monotonic() - began)
    if major < _OLDEST_VERSION:
        return Finding("database", State.ILL, f"PostgreSQL {whole} is too old.", f"Take {_OLDEST_VERSION} or later.")
    return Finding("database", State.GOOD, f"PostgreSQL {whole} answers in {took:.1f} ms.")


def clock(connection: Connection, url: str) -> Finding:
    """Whether this machine's clock, and that of every server that runs, agrees with the database's."""
    ahead, unsure = diagnostics.clock_difference(connection)
    apart = max(abs(ahead) - unsure, 0)
    span = f"{abs(ahead):.3f} s" if abs(ahead) < 60 else _span(abs(ahead))
    told = f"The database's clock is {span} {'ahead of' if ahead > 0 else 'behind'} ours."
    advice = "Have both machines keep their time by NTP."
    state = State.GOOD if apart <= 1 else State.ILL if apart > 5 else State.HINT
    if diagnostics.count_server_connections(connection):
        wrong = [offset for offset in diagnostics.server_clock_offsets(url) if abs(offset) > 5]
        if wrong:
            worst = max(wrong, key=abs)
            state = State.ILL
            servers = "One server's clock is" if len(wrong) == 1 else f"The clocks of {len(wrong)} servers are up to"
            told += f" {servers} {_span(abs(worst))} {'ahead of' if worst > 0 else 'behind'} the database's."
            advice = f"Have all machines keep their time by NTP. Over {MAX_OFFSET:.0f} s, deadlines and reminders wait."
    return Finding("clock", state, told, "" if state is State.GOOD else advice)


def connections(connection: Connection, pool_size: int) -> Finding:
    """Whether there are connections enough for one more process."""
    most, in_use = diagnostics.connection_budget(connection)
    needed = pool_size + _LISTENER
    told = f"{in_use} of {most} connections are in use; a process may take {needed}."
    advice = "Raise max_connections, lower EXPERT_BOOKING_POOL_SIZE, or run fewer processes."
    if needed > most:
        return Finding("connections", State.ILL, told, advice)
    if in_use + needed > most:
        return Finding("connections", State.HINT, f"{told} Another process would be short of them.", advice)
    return Finding("connections", State.GOOD, told)


def news(connection: Connection, url: str) -> Finding:
    """Whether notifications come through, without which open pages are only right every 30 seconds."""
    took = diagnostics.notification_delay(connection, url)
    if took is None:
        advice = "LISTEN needs a connection of its own to the primary: no pooler in transaction mode, no standby."
        return Finding("news", State.ILL, "The database's notifications do not arrive.", advice)
    told = f"The database's notifications arrive in {1000 * took:.1f} ms."
    return Finding("news", State.GOOD if took < 1 else State.HINT, told)


def schema_level(url: str) -> Finding:
    """Whether its schema is the one this program was written for."""
    try:
        revision, head = schema.level(url)
    except schema.DatabaseUnreachable as error:
        raise DiagnosticsError(str(error)) from error
    if revision == head:
        return Finding("schema", State.GOOD, f"The schema is at head, {head}.")
    told = f"The schema is at {revision or 'nothing'} and has to be at {head}; what is in it was not checked."
    return Finding("schema", State.ILL, told, "Run `expert-booking migrate`.")


def extensions(connection: Connection) -> Finding:
    """Whether PostgreSQL has the extensions that fences and search are made of."""
    missing = diagnostics.missing_extensions(connection)
    if not missing:
        return Finding("extensions", State.GOOD, f"{_listed(diagnostics.EXTENSIONS)} are there.")
    told = f"{_listed(list(missing))} {'is' if len(missing) == 1 else 'are'} not there."
    if not all(missing.values()):
        return Finding("extensions", State.ILL, told, "Install PostgreSQL's contrib package, then run this again.")
    created = "; ".join(f"CREATE EXTENSION {name}" for name in missing)
    return Finding("extensions", State.ILL, told, f"{IN_PSQL}{created};")


def fences(connection: Connection) -> Finding:
    """Whether the database still makes double booking impossible."""
    wrong = diagnostics.wrong_fences(connection)
    if not wrong:
        return Finding("fences", State.GOOD, f"All {len(diagnostics.FENCES)} fences against double booking stand.")
    told = f"Double booking is possible: {_told(wrong)}."
    return Finding("fences", State.ILL, told, f"Move or cancel bookings that overlap. {_in_psql(wrong)}")


def bookings(connection: Connection) -> Finding:
    """Whether any time is booked twice."""
    found = diagnostics.overlaps(connection)
    if not found:
        return Finding("bookings", State.GOOD, "No two live bookings of an expert overlap.")
    told = f"{found} live {'booking overlaps' if found == 1 else 'bookings overlap'} another of the same expert."
    return Finding("bookings", State.ILL, told, "Move or cancel one of each two: their experts see both.")


def indexes(connection: Connection) -> Finding:
    """Whether all other indexes are there and whole."""
    wrong = diagnostics.wrong_indexes(connection)
    if not wrong:
        return Finding("indexes", State.GOOD, f"All {len(diagnostics.INDEXES)} indexes are there and valid.")
    return Finding("indexes", State.ILL, f"{_told(wrong)}.", _in_psql(wrong))


def triggers(connection: Connection) -> Finding:
    """Whether the database writes its history, puts mail into the outbox, and tells of what is new."""
    wrong = diagnostics.wrong_triggers(connection)
    if not wrong:
        return Finding("triggers", State.GOOD, f"All {len(diagnostics.TRIGGERS)} triggers are there and switched on.")
    return Finding("triggers", State.ILL, f"{_told(wrong)}: history, mail or news goes missing.", _in_psql(wrong))


def expert_zones(connection: Connection) -> Finding:
    """Whether every expert lives in a zone that is known here."""
    unknown = diagnostics.unknown_zones(connection, ZONE_NAMES)
    if not unknown:
        return Finding("experts' zones", State.GOOD, "Every expert's time zone is known here.")
    told = f"{unknown} {'expert lives' if unknown == 1 else 'experts live'} in a time zone that is not known here."
    return Finding("experts' zones", State.ILL, told, "Update tzdata, or give them another zone.")


def tokens(connection: Connection) -> Finding:
    """Whether tokens of programs are about to expire."""
    ending = diagnostics.tokens_ending(connection, TOKEN_EXPIRES_SOON.days)
    if not ending:
        return Finding("tokens", State.GOOD, f"No token expires within {TOKEN_EXPIRES_SOON.days} days.")
    told = f"{ending} {'token expires' if ending == 1 else 'tokens expire'} within {TOKEN_EXPIRES_SOON.days} days."
    advice = "See `expert-booking token list`, and give their programs new ones: `expert-booking token create`."
    return Finding("tokens", State.HINT, told, advice)


def workers(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Whether what waits for some process is being done."""
    running = diagnostics.count_server_connections(connection) > 0
    backlog = diagnostics.queue_sizes(connection)
    yield _outbox(backlog, running=running, sends=settings.smtp is not None or settings.mailbox)
    yield _deadlines(backlog.late, running=running)
    yield _soonest(connection, backlog.noted, running=running)


def _outbox(told: QueueSizes, *, running: bool, sends: bool) -> Finding:
    waiting = told.waiting + told.retrying
    says = f"{waiting} {'mail waits' if waiting == 1 else 'mails wait'} in the outbox"
    says += f", {told.retrying} after a try that failed" if told.retrying else ""
    says += f", the oldest for {_span(told.oldest)}" if waiting else ""
    says += f"; {told.given_up} {'was' if told.given_up == 1 else 'were'} given up." if told.given_up else "."
    if sends and running and waiting and told.oldest > 3600:
        return Finding("outbox", State.ILL, says, "See `expert-booking mail list` for what the mail server says.")
    if told.given_up:
        advice = "See `expert-booking mail list`; `expert-booking mail resend` sends them again."
        return Finding("outbox", State.HINT, says, advice)
    if waiting and not (running and sends):
        return Finding("outbox", State.HINT, says, _IS_IT_RUNNING if sends else "Set EXPERT_BOOKING_SMTP_URL.")
    return Finding("outbox", State.GOOD, says)


def _deadlines(late: float, *, running: bool) -> Finding:
    if late < 60:
        return Finding("deadlines", State.GOOD, "Nothing is over that is not written down.")
    says = f"For {_span(late)} something has been over that is not written down."
    return _nobody_does("deadlines", says, running=running)


def _soonest(connection: Connection, noted: int, *, running: bool) -> Finding:
    name = "next free times"
    if noted:
        first, until = diagnostics.oldest_queued_expert(connection), time.monotonic() + _A_ROUND
        while first is not None and diagnostics.oldest_queued_expert(connection) == first:
            if time.monotonic() > until:
                says = f"{noted} changed experts' next free times are not worked out."
                return _nobody_does(name, says, running=running)
            time.sleep(0.1)
    return Finding(name, State.GOOD, "Next free times are worked out as experts change.")


def _nobody_does(name: str, says: str, *, running: bool) -> Finding:
    if not running:
        return Finding(name, State.HINT, says, _IS_IT_RUNNING)
    return Finding(name, State.ILL, says, "A server runs and does not do it: its log says why; start it anew.")


# --- words --------------------------------------------------------------------------------------------------------


def _in_psql(wrong: dict[str, str]) -> str:
    return IN_PSQL + "; ".join(diagnostics.remedy(name, how) for name, how in wrong.items()) + ";"


def _told(wrong: dict[str, str]) -> str:
    return _listed([f"{name} is {how}" for name, how in wrong.items()])


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _span(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
