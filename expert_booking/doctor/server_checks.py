"""Checks of what a server needs besides the database: the mail server, open files, Redis, the disk."""

import asyncio
import http.client
import re
from pathlib import Path
from typing import Final

from expert_booking import open_files
from expert_booking.db.embedded import LEAST_FREE, free_space
from expert_booking.doctor.finding import Finding, State
from expert_booking.mail.send import DeliveryError, SmtpTransport
from expert_booking.settings import Settings

# Seconds for the mail server and for /metrics.
_TIMEOUT: Final = 10.0
_LITTLE_SPACE: Final = 2**30
# With fewer open files than this, a server has fewer than 2,000 connections.
_FEW_FILES: Final = 4096


def mail_server(settings: Settings) -> Finding:
    """Whether the mail server accepts our sign-in. Sends nothing."""
    server, name = settings.smtp, "mail server"
    if server is None:
        if settings.mailbox:
            return Finding(name, State.OK, "Emails go to the page /mailbox.")
        return Finding(name, State.HINT, "No email is sent; emails wait in the outbox.", "Set EXPERT_BOOKING_SMTP_URL.")
    where = f"{server.host}:{server.port}"
    try:
        asyncio.run(SmtpTransport(server, timeout=_TIMEOUT).check())
    except DeliveryError as refusal:
        advice = "Is it running, and are name, port, user and password in EXPERT_BOOKING_SMTP_URL correct?"
        return Finding(name, State.FAIL, f"Cannot use the mail server {where}: {refusal.reason}.", advice)
    result = "accepts the sign-in" if server.user else "answers"
    return Finding(name, State.OK, f"The mail server {where} {result}.")


def files(settings: Settings) -> Finding:
    """Whether a server may open enough files, and has not opened nearly all of them."""
    name = "open files"
    running = _files_of_server(settings)
    if running:
        opened, limit = running
        says = f"The running server has {opened} of {limit} files open."
    else:
        opened, limit = 0, open_files.highest_limit()
        says = f"A server started here may have {limit} files open."
    if limit < _FEW_FILES or opened >= open_files.NEAR_LIMIT * limit:
        return Finding(name, State.HINT, says, open_files.ADVICE)
    return Finding(name, State.OK, says)


def _files_of_server(settings: Settings) -> tuple[int, int] | None:
    """How many files the server has open and may have open. None if no server answers at /metrics."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
    token = {"Authorization": f"Bearer {settings.metrics_token}"} if settings.metrics_token else {}
    connection = http.client.HTTPConnection(host, settings.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/metrics", headers=token)
        metrics = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()
    found = dict(re.findall(r"^process_(open|max)_fds (\S+)$", metrics, re.MULTILINE))
    return (int(float(found["open"])), int(float(found["max"]))) if len(found) == 2 else None


def redis(url: str) -> Finding:
    """Whether events travel through Redis. The test message goes to a channel without other listeners."""
    try:
        from redis.exceptions import RedisError  # an optional dependency

        from expert_booking.redis_feed import delivery_time
    except ModuleNotFoundError:
        missing = "EXPERT_BOOKING_REDIS_URL needs another library."
        return Finding("redis", State.FAIL, missing, "pip install 'expert-booking[redis]'")
    try:
        took = delivery_time(url)
    except (RedisError, OSError) as error:
        says = f"Redis does not deliver events ({type(error).__name__}); open pages only update every 30 seconds."
        advice = "Is it running, is EXPERT_BOOKING_REDIS_URL correct, and may this user publish and subscribe?"
        return Finding("redis", State.FAIL, says, advice)
    says = f"Events through Redis arrive in {1000 * took:.1f} ms."
    return Finding("redis", State.OK if took < 1 else State.HINT, says)


def space(cluster: Path) -> Finding:
    """Whether the disk of the embedded database has room."""
    free = free_space(cluster)
    says = f"{free / 2**30:.1f} GB are free on the database's disk."
    if free < _LITTLE_SPACE:
        state = State.FAIL if free < LEAST_FREE else State.HINT
        return Finding("disk", state, says, "Free some space: PostgreSQL stops when the disk is full.")
    return Finding("disk", State.OK, says)
