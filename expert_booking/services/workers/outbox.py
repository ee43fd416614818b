"""Send the emails that wait in the outbox, and queue reminders."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from math import inf
from typing import Final

from expert_booking.db import email_addresses
from expert_booking.db import outbox as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.email_schedule import Delivery, reminders_at, retry_delay
from expert_booking.domain.errors import MessageNotFound, Unavailable
from expert_booking.domain.site import Site
from expert_booking.mail.message import Email
from expert_booking.mail.send import DeliveryError, EmailTransport
from expert_booking.schemas import MessageView
from expert_booking.services.access import Access
from expert_booking.services.mailbox import Mailbox
from expert_booking.services.workers.outbox_emails import OutboxEmails
from expert_booking.services.workers.worker import Worker

log = logging.getLogger(__name__)

MAX_CONCURRENT: Final = 4
# Seconds. A process that has answered a request within BUSY starts one email in PACE, which takes about a tenth of its
# time, so that emails do not slow the bookings that cause them. Otherwise it sends as fast as it can.
BUSY: Final = 0.25
PACE: Final = 0.03
_LARGEST_ID: Final = 2**63 - 1
# How long a process may take to send a message it has claimed. After that, another process may claim it.
LEASE: Final = timedelta(minutes=2)
# Seconds.
_SEND_TIMEOUT: Final = 60.0
_MAX_PAUSE: Final = 20.0
_MIN_PAUSE: Final = 0.25
_RECORD_RETRY_DELAY: Final = 1.0
_PLAN_INTERVAL: Final = 15.0
_SWEEP_INTERVAL: Final = 3600.0
_SHUTDOWN_TIMEOUT: Final = 10.0  # for emails that are being sent when the process ends


class Outbox(Worker):
    """Sends each waiting message once, also with several processes.

    Strictly speaking at least once: if a process is killed after the mail server has accepted a message and before that
    is recorded, it is sent again with the same Message-ID. A mail server that is slow or down delays only emails.
    Without a transport, all messages wait.
    """

    name = "outbox"
    coalesce_seconds = 0.05

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        clock_agrees: Callable[[], Awaitable[bool]],
        site: Site,
        access: Access,
        transport: EmailTransport | None,
        seconds_since_request: Callable[[], float] = lambda: inf,
    ) -> None:
        super().__init__(clock, clock_agrees)
        self._database = database
        self._site = site
        self._access = access
        self._transport = transport
        self._seconds_since_request = seconds_since_request
        # When the next email may be started, in the event loop's time.
        self._next_start = 0.0
        self._emails = OutboxEmails(site, access)
        self._senders: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._claiming = asyncio.Lock()
        self._plan_at = self._sweep_at = 0.0

    async def _step(self) -> float:
        time = asyncio.get_running_loop().time
        # Emails are sent even if the clocks differ, because customers need them to sign in.
        agrees = await self._clock_agrees()
        if agrees and time() >= self._plan_at:
            await self.plan()
            self._plan_at = time() + _PLAN_INTERVAL
        if agrees and time() >= self._sweep_at:
            await self.sweep()
            self._sweep_at = time() + _SWEEP_INTERVAL
        await self._start_sending()
        pause = await self._pause()
        if agrees:
            self.round_at = self._clock()
        return pause

    async def drain(self) -> None:
        """Return when all due reminders are queued and all due messages have been sent or have failed."""
        await self.plan()
        while await self._start_sending() or self._senders:
            await asyncio.gather(*self._senders)

    async def plan(self) -> None:
        """Queue the reminders that are due. Safe to call from several processes: none is queued twice."""
        if self._transport is None:
            return
        now = self._clock()
        async with self._database.statements() as connection:
            for before, after, until in reminders_at(now, self._site.reminders):
                await rows.plan(connection, _minutes(before), after, until)

    async def sweep(self) -> None:
        """Delete old rows that are no longer needed, in batches."""
        now = self._clock()
        async with self._database.statements() as connection:
            while await rows.sweep(connection, now) or await email_addresses.sweep(connection, now):
                pass
        if isinstance(self._transport, Mailbox):
            await self._transport.sweep()
        await self._access.sweep()

    async def waiting(self) -> Sequence[MessageView]:
        """The unsent messages: those that wait, then those that were given up, then the withheld ones, oldest first."""
        async with self._database.statements() as connection:
            return [MessageView.model_validate(row._mapping) for row in await rows.waiting(connection)]

    async def resend(self, ids: Sequence[int] | None = None) -> int:
        """Retry these messages now, or all that were given up. Returns how many.

        Their addresses are tried again even if a mail server has refused them. Raises MessageNotFound, and retries
        none, if one of the ids is not an unsent message.
        """
        async with self._database.transaction() as connection:
            found = await rows.resend(connection, None if ids is None else [one for one in ids if one <= _LARGEST_ID])
            for wanted in ids or ():
                if wanted not in found:
                    raise MessageNotFound(f"There is no unsent message {wanted}.")
            await email_addresses.accept(connection, sorted(found))
        return len(found)

    # --- sending --------------------------------------------------------------------------------------------------

    async def _start_sending(self) -> int:
        """Start to send due messages, up to the limit of concurrent ones. Returns how many."""
        if self._transport is None or self._timer.stopped:
            return 0
        # One claim at a time, so that each sees how many messages the others have started.
        async with self._claiming:
            claimed = await self._claim(min(MAX_CONCURRENT - self._sending, self._allowed()))
            self._sending += len(claimed)
        for row in claimed:
            sender = asyncio.create_task(self._send(row))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return len(claimed)

    async def _claim(self, limit: int) -> Sequence[AnyRow]:
        if limit <= 0:
            return ()
        now = self._clock()
        async with self._database.statements() as connection:
            return await rows.claim(connection, now, now + LEASE, limit, self._site.emails_per_address)

    async def _send(self, row: AnyRow) -> None:
        # If the database is unavailable, the message can be claimed again when its lease expires.
        with suppress(Unavailable):
            try:
                await self._deliver(row)
            finally:
                self._sending -= 1
            await self._give_way()
            await self._start_sending()

    def _allowed(self) -> int:
        """How many emails may be started now: one in PACE while this process answers requests."""
        now = asyncio.get_running_loop().time()
        if self._seconds_since_request() >= BUSY:
            return MAX_CONCURRENT
        if now < self._next_start:
            return 0
        self._next_start = now + PACE
        return 1

    async def _give_way(self) -> None:
        wait = self._next_start - asyncio.get_running_loop().time()
        if wait > 0 and self._seconds_since_request() < BUSY:
            await self._timer.pause(wait)

    async def _deliver(self, row: AnyRow) -> None:
        time = asyncio.get_running_loop().time
        until = time() + LEASE.total_seconds()
        if row.withheld_because is not None:
            await self._record_withheld(row)
            return
        try:
            email = self._emails.compose(row, self._clock())
            if email is not None:
                await self._transmit(email)
            elif not await self._clock_agrees():
                # It may only seem obsolete because a clock is wrong. It is tried again when its lease expires.
                return
        except DeliveryError as refusal:
            log.warning("message %d (%s) was not accepted: %s", row.id, row.kind, refusal.reason)
            await self._record_failure(
                row, refusal.reason, permanent=refusal.permanent, address_refused=refusal.address_refused
            )
        except Unavailable:
            raise
        except Exception as error:
            # Do not log the exception's text, which may contain personal data.
            log.error("message %d (%s) could not be composed: %s", row.id, row.kind, _where(error))
            await self._record_failure(row, f"could not be composed ({type(error).__name__})", permanent=False)
        else:
            await self._record_success(row, email, until)

    async def _transmit(self, email: Email) -> None:
        assert self._transport is not None
        try:
            async with asyncio.timeout(_SEND_TIMEOUT):
                await self._transport.send(email)
        except TimeoutError as error:
            raise DeliveryError("timeout", permanent=False) from error

    async def _record_success(self, row: AnyRow, email: Email | None, until: float) -> None:
        # Unless this is recorded, the message is sent again, so retry until the lease expires.
        while True:
            try:
                async with self._database.statements() as connection:
                    if email is None:
                        await rows.drop(connection, row.id, row.tries)
                    else:
                        await rows.sent(connection, row.id, self._clock())
                return
            except Unavailable:
                if asyncio.get_running_loop().time() + _RECORD_RETRY_DELAY >= until:
                    raise
                await asyncio.sleep(_RECORD_RETRY_DELAY)

    async def _record_failure(self, row: AnyRow, error: str, *, permanent: bool, address_refused: bool = False) -> None:
        now = self._clock()
        delay = None if permanent else retry_delay(row.tries)
        due, failed_at = (None, now) if delay is None else (now + delay, None)
        async with self._database.transaction() as connection:
            await rows.not_sent(connection, row.id, row.tries, due=due, failed_at=failed_at, error=error)
            if address_refused and row.customer_key is not None:
                await email_addresses.refuse(connection, row.customer_key, now, error)

    async def _record_withheld(self, row: AnyRow) -> None:
        why = Delivery(row.withheld_because)
        error = row.refused_reason if why is Delivery.REFUSED else ""
        async with self._database.statements() as connection:
            await rows.not_sent(
                connection, row.id, row.tries, due=None, failed_at=self._clock(), error=error, withheld=why
            )

    async def _pause(self) -> float:
        if self._transport is None:
            return _MAX_PAUSE
        async with self._database.statements() as connection:
            at = await rows.next_due(connection)
        if at is None:
            return _MAX_PAUSE
        return min(max((at - self._clock()).total_seconds(), _MIN_PAUSE), _MAX_PAUSE)

    async def _finish(self) -> None:
        self._timer.stop()
        if self._senders:
            await asyncio.wait(self._senders, timeout=_SHUTDOWN_TIMEOUT)
        for sender in self._senders:
            sender.cancel()
        if self._transport is not None:
            await self._transport.close()


def _minutes(span: timedelta) -> int:
    return round(span.total_seconds() / 60)


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + place
