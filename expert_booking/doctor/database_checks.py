"""Checks of the database and of the work in it that waits for a server."""

import time
from collections.abc import Iterator
from typing import Final

from expert_booking.db import diagnostics, schema
from expert_booking.db.clock import MAX_OFFSET
from expert_booking.db.diagnostics import Connection, DiagnosticsError
from expert_booking.db.queue_sizes import QueueSizes
from expert_booking.doctor.finding import IN_PSQL, Finding, State, listed, time_span
from expert_booking.domain.time_zones import ZONE_NAMES
from expert_booking.schemas import TOKEN_EXPIRES_SOON
from expert_booking.settings import Settings

# Seconds within which a running server processes a changed expert.
_WORKER_ROUND: Final = 5.0
_OLDEST_VERSION: Final = 15
# Besides its pool, each process has one connection that listens.
_LISTENERS: Final = 1
NEEDS_SESSION: Final = (
    "Notifications and migrations need PostgreSQL itself, no pooler in transaction mode and no standby: set "
    "EXPERT_BOOKING_LISTEN_DATABASE_URL to its address."
)
_NO_SERVER: Final = "No server is running on this database. The next one that starts does this work."


def database(connection: Connection) -> Finding:
    """Whether PostgreSQL is new enough."""
    began = time.monotonic()
    major, version = diagnostics.version(connection)
    took = 1000 * (time.monotonic() - began)
    if major < _OLDEST_VERSION:
        return Finding("database", State.FAIL, f"PostgreSQL {version} is too old.", f"Use {_OLDEST_VERSION} or later.")
    return Finding("database", State.OK, f"PostgreSQL {version} answers in {took:.1f} ms.")


def clock(connection: Connection, url: str) -> Finding:
    """Whether the clocks of this machine and of every running server agree with the database's."""
    ahead, error = diagnostics.clock_difference(connection)
    apart = max(abs(ahead) - error, 0)
    span = f"{abs(ahead):.3f} s" if abs(ahead) < 60 else time_span(abs(ahead))
    says = f"The database's clock is {span} {'ahead of' if ahead > 0 else 'behind'} this machine's."
    advice = "Synchronize both machines by NTP."
    state = State.OK if apart <= 1 else State.FAIL if apart > 5 else State.HINT
    if diagnostics.count_server_connections(connection):
        wrong = [offset for offset in diagnostics.server_clock_offsets(url) if abs(offset) > 5]
        if wrong:
            worst = max(wrong, key=abs)
            state = State.FAIL
            servers = "One server's clock is" if len(wrong) == 1 else f"The clocks of {len(wrong)} servers are up to"
            says += f" {servers} {time_span(abs(worst))} {'ahead of' if worst > 0 else 'behind'} the database's."
            advice = f"Synchronize all machines by NTP. Above {MAX_OFFSET:.0f} s, deadlines and reminders are on hold."
    return Finding("clock", state, says, "" if state is State.OK else advice)


def connections(connection: Connection, pool_size: int) -> Finding:
    """Whether there are enough connections for one more process."""
    most, in_use = diagnostics.connection_budget(connection)
    needed = pool_size + _LISTENERS
    says = f"{in_use} of {most} connections are in use; a process may use {needed}."
    advice = "Raise max_connections, lower EXPERT_BOOKING_POOL_SIZE, or run fewer processes."
    if needed > most:
        return Finding("connections", State.FAIL, says, advice)
    if in_use + needed > most:
        return Finding("connections", State.HINT, f"{says} Another process might not get enough.", advice)
    return Finding("connections", State.OK, says)


def notifications(connection: Connection, url: str) -> Finding:
    """Whether notifications arrive. Without them, open pages only update every 30 seconds."""
    took = diagnostics.notification_delay(connection, url)
    if took is None:
        return Finding("notifications", State.FAIL, "The database's notifications do not arrive.", NEEDS_SESSION)
    says = f"The database's notifications arrive in {1000 * took:.1f} ms."
    return Finding("notifications", State.OK if took < 1 else State.HINT, says)


def pooler(connection: Connection, pooler_url: str) -> Finding:
    """Whether the pooler leads to the same database as this connection, and limits the time of statements."""
    try:
        has_timeout = schema.has_timeout(pooler_url)
        took = diagnostics.notification_delay(connection, pooler_url, pooler=True)
    except (schema.DatabaseUnreachable, DiagnosticsError) as error:
        advice = "Is it running, and is EXPERT_BOOKING_DATABASE_URL correct?"
        return Finding("pooler", State.FAIL, f"The pooler does not answer: {error}.", advice)
    if took is None:
        says = "EXPERT_BOOKING_DATABASE_URL and EXPERT_BOOKING_LISTEN_DATABASE_URL lead to different databases."
        return Finding("pooler", State.FAIL, says, "Correct one of them.")
    if not has_timeout:
        says = "Statements through the pooler have no time limit."
        return Finding("pooler", State.HINT, says, "Set connect_query in the pooler, see docs/operations.md.")
    return Finding("pooler", State.OK, f"Notifications through the pooler arrive in {1000 * took:.1f} ms.")


def schema_level(url: str) -> Finding:
    """Whether the schema is the one that this version of the program needs."""
    try:
        revision, head = schema.level(url)
    except (schema.DatabaseUnreachable, schema.PoolerFound) as error:
        raise DiagnosticsError(str(error) or "it is behind a pooler") from error
    if revision == head:
        return Finding("schema", State.OK, f"The schema is at head, {head}.")
    says = f"The schema is at {revision or 'nothing'} and must be at {head}; its contents were not checked."
    if schema.is_newer(revision):
        return Finding("schema", State.FAIL, says, "A newer version has migrated it: start that version.")
    return Finding("schema", State.FAIL, says, "Run `expert-booking migrate`.")


def extensions(connection: Connection) -> Finding:
    """Whether the PostgreSQL extensions for the fences and the search are installed."""
    missing = diagnostics.missing_extensions(connection)
    if not missing:
        return Finding("extensions", State.OK, f"{listed(diagnostics.EXTENSIONS)} are installed.")
    says = f"{listed(list(missing))} {'is' if len(missing) == 1 else 'are'} not installed."
    if not all(missing.values()):
        return Finding("extensions", State.FAIL, says, "Install PostgreSQL's contrib package, then run this again.")
    created = "; ".join(f"CREATE EXTENSION {name}" for name in missing)
    return Finding("extensions", State.FAIL, says, f"{IN_PSQL}{created};")


def fences(connection: Connection) -> Finding:
    """Whether the database still makes double booking impossible."""
    wrong = diagnostics.wrong_fences(connection)
    if not wrong:
        return Finding("fences", State.OK, f"All {len(diagnostics.FENCES)} fences against double booking are intact.")
    says = f"Double booking is possible: {_problems(wrong)}."
    return Finding("fences", State.FAIL, says, f"Reschedule or cancel overlapping bookings. {_remedies(wrong)}")


def bookings(connection: Connection) -> Finding:
    """Whether any time is booked twice."""
    found = diagnostics.overlaps(connection)
    if not found:
        return Finding("bookings", State.OK, "No two live bookings of an expert overlap.")
    says = f"{found} live {'booking overlaps' if found == 1 else 'bookings overlap'} another of the same expert."
    return Finding("bookings", State.FAIL, says, "Reschedule or cancel one of each pair; their experts can see both.")


def indexes(connection: Connection) -> Finding:
    """Whether all other indexes exist and are valid."""
    wrong = diagnostics.wrong_indexes(connection)
    if not wrong:
        return Finding("indexes", State.OK, f"All {len(diagnostics.INDEXES)} indexes exist and are valid.")
    return Finding("indexes", State.FAIL, f"{_problems(wrong)}.", _remedies(wrong))


def triggers(connection: Connection) -> Finding:
    """Whether the triggers that write history and outbox and send notifications are enabled."""
    wrong = diagnostics.wrong_triggers(connection)
    if not wrong:
        return Finding("triggers", State.OK, f"All {len(diagnostics.TRIGGERS)} triggers exist and are enabled.")
    says = f"{_problems(wrong)}: history, emails or live updates are lost."
    return Finding("triggers", State.FAIL, says, _remedies(wrong))


def expert_zones(connection: Connection) -> Finding:
    """Whether every expert's time zone exists on this machine."""
    unknown = diagnostics.unknown_zones(connection, ZONE_NAMES)
    if not unknown:
        return Finding("experts' zones", State.OK, "This machine knows every expert's time zone.")
    says = f"{unknown} {'expert has' if unknown == 1 else 'experts have'} a time zone that this machine does not know."
    return Finding("experts' zones", State.FAIL, says, "Update tzdata, or give them another zone.")


def tokens(connection: Connection) -> Finding:
    """Whether API tokens expire soon."""
    ending = diagnostics.tokens_ending(connection, TOKEN_EXPIRES_SOON.days)
    if not ending:
        return Finding("tokens", State.OK, f"No token expires within {TOKEN_EXPIRES_SOON.days} days.")
    says = f"{ending} {'token expires' if ending == 1 else 'tokens expire'} within {TOKEN_EXPIRES_SOON.days} days."
    advice = "List them with `expert-booking token list`, and replace them with `expert-booking token create`."
    return Finding("tokens", State.HINT, says, advice)


# The checks that need the schema at head.
OF_THE_SCHEMA: Final = (extensions, fences, bookings, indexes, triggers, expert_zones, tokens)


def workers(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Whether servers do the work that waits in the database."""
    running = diagnostics.count_server_connections(connection) > 0
    backlog = diagnostics.queue_sizes(connection)
    yield _outbox(backlog, running=running, sends=settings.smtp is not None or settings.mailbox)
    yield _deadlines(backlog.late, running=running)
    yield _next_available(connection, backlog.noted, running=running)


def _outbox(sizes: QueueSizes, *, running: bool, sends: bool) -> Finding:
    waiting = sizes.waiting + sizes.retrying
    says = f"{waiting} {'email is' if waiting == 1 else 'emails are'} waiting in the outbox"
    says += f", {sizes.retrying} of them after a failed attempt" if sizes.retrying else ""
    says += f", the oldest for {time_span(sizes.oldest)}" if waiting else ""
    says += f"; {sizes.given_up} {'was' if sizes.given_up == 1 else 'were'} given up" if sizes.given_up else ""
    says += f"; {sizes.withheld} {'is' if sizes.withheld == 1 else 'are'} withheld." if sizes.withheld else "."
    if sends and running and waiting and sizes.oldest > 3600:
        return Finding("outbox", State.FAIL, says, "`expert-booking mail list` shows the mail server's answers.")
    if sizes.given_up:
        advice = "List them with `expert-booking mail list`; send them again with `expert-booking mail resend`."
        return Finding("outbox", State.HINT, says, advice)
    if waiting and not (running and sends):
        return Finding("outbox", State.HINT, says, _NO_SERVER if sends else "Set EXPERT_BOOKING_SMTP_URL.")
    return Finding("outbox", State.OK, says)


def _deadlines(late: float, *, running: bool) -> Finding:
    if late < 60:
        return Finding("deadlines", State.OK, "No deadline is overdue.")
    return _not_done("deadlines", f"A deadline is {time_span(late)} overdue.", running=running)


def _next_available(connection: Connection, noted: int, *, running: bool) -> Finding:
    name = "next free times"
    if noted:
        first, until = diagnostics.oldest_queued_expert(connection), time.monotonic() + _WORKER_ROUND
        while first is not None and diagnostics.oldest_queued_expert(connection) == first:
            if time.monotonic() > until:
                says = f"The next free times of {noted} changed experts are out of date."
                return _not_done(name, says, running=running)
            time.sleep(0.1)
    return Finding(name, State.OK, "Next free times are up to date.")


def _not_done(name: str, says: str, *, running: bool) -> Finding:
    if not running:
        return Finding(name, State.HINT, says, _NO_SERVER)
    return Finding(name, State.FAIL, says, "A server is running but does not do this work. See its log; restart it.")


def _remedies(wrong: dict[str, str]) -> str:
    return IN_PSQL + "; ".join(diagnostics.remedy(name, how) for name, how in wrong.items()) + ";"


def _problems(wrong: dict[str, str]) -> str:
    return listed([f"{name} is {how}" for name, how in wrong.items()])
