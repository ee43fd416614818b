"""Sends the mail that waits in the outbox, and puts the reminders there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Final

from expert_booking.db import outbox as rows
from expert_booking.db.bookings import agreed_terms
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.addresses import in_ascii
from expert_booking.domain.email_schedule import Audience, MessageKind, pause_after, reminder_windows, reminders_at
from expert_booking.domain.errors import MessageNotFound, Unavailable
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Leeway
from expert_booking.mail.compose import (
    BookingEmail,
    address_change_letter,
    compose_access_email,
    compose_booking_email,
    new_address_letter,
)
from expert_booking.mail.send import DeliveryError, EmailTransport
from expert_booking.schemas import MessageView
from expert_booking.services.access import Access
from expert_booking.services.mailbox import Mailbox
from expert_booking.services.worker_timer import WorkerTimer

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
_LARGEST_ID: Final = 2**63 - 1
# Whoever has claimed a message has so long to send it; then it is somebody else's.
LEASE: Final = timedelta(minutes=2)
_LONGEST_SENDING: Final = 60.0
# Seconds in which further news come along.
_COALESCED: Final = 0.05
_LONGEST_PAUSE: Final = 20.0
_SHORTEST_PAUSE: Final = 0.25
_AFTER_A_FAILURE: Final = 1.0
_PLANNING: Final = 15.0
_SWEEPING: Final = 3600.0
# How long what is being sent is waited for when the process ends.
_FAREWELL: Final = 10.0


class Outbox:
    """Hands what waits to the post: each message once, whoever of several processes sends it.

    At least once, to be exact: who is killed between the mail server's yes and writing it down has it sent again, with
    the same Message-ID. A mail server that is down or slow delays mail and nothing else. Without a post all mail waits.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        clock_agrees: Callable[[], Awaitable[bool]],
        site: Site,
        access: Access,
        transport: EmailTransport | None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._clock_agrees = clock_agrees
        self._site = site
        self._access = access
        self._transport = transport
        self._timer = WorkerTimer(_COALESCED)
        # When the last round was done without a failure.
        self.round_at: datetime | None = None
        self._senders: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._claiming = asyncio.Lock()

    def wake(self) -> None:
        """There may be mail to send."""
        self._timer.wake()

    def stop(self) -> None:
        """Let `run` end as soon as it is through with what it is at."""
        self._timer.stop()

    async def run(self) -> None:
        """Send whatever there is, until stopped; what is being sent then is finished, unless it takes too long."""
        plan_at = sweep_at = 0.0
        time = asyncio.get_running_loop().time
        try:
            while not self._timer.stopped:
                try:
                    # Mail is sent even when the clocks differ: nobody can sign in without it.
                    agrees = await self._clock_agrees()
                    if agrees and time() >= plan_at:
                        await self.plan()
                        plan_at = time() + _PLANNING
                    if agrees and time() >= sweep_at:
                        await self.sweep()
                        sweep_at = time() + _SWEEPING
                    await self._begin()
                    pause = await self._pause()
                    if agrees:
                        self.round_at = self._clock()
                except Unavailable:
                    pause = _AFTER_A_FAILURE
                except Exception:
                    log.exception("mail could not be looked after, trying again in %.0f s", _AFTER_A_FAILURE)
                    pause = _AFTER_A_FAILURE
                await self._timer.sleep(pause)
        finally:
            await self._end()

    async def work_off(self) -> None:
        """Return when every reminder is planned and everything sent that is due at this moment, or failed to be."""
        await self.plan()
        while await self._begin() or self._senders:
            await asyncio.gather(*self._senders)

    async def plan(self) -> None:
        """Put the reminders that are due into the outbox: one of each time and reader, whoever plans."""
        if self._transport is None:
            return
        now = self._clock()
        async with self._database.statements() as connection:
            for before, after, until in reminders_at(now, self._site.reminders):
                await rows.plan(connection, _minutes(before), after, until)

    async def sweep(self) -> None:
        """Delete what nobody needs any more, some at a time."""
        now = self._clock()
        async with self._database.statements() as connection:
            while await rows.sweep(connection, now):
                pass
        if isinstance(self._transport, Mailbox):
            await self._transport.sweep()
        await self._access.sweep()

    async def waiting(self) -> Sequence[MessageView]:
        """What has not been sent: what waits, then what was given up, the oldest first."""
        async with self._database.statements() as connection:
            return [MessageView.model_validate(row._mapping) for row in await rows.waiting(connection)]

    async def resend(self, ids: Sequence[int] | None = None) -> int:
        """Try these messages again now, or all that were given up; how many. Raises MessageNotFound, and does none."""
        async with self._database.transaction() as connection:
            found = await rows.resend(connection, None if ids is None else [one for one in ids if one <= _LARGEST_ID])
            for wanted in ids or ():
                if wanted not in found:
                    raise MessageNotFound(f"There is no message {wanted} that waits or was given up.")
        return len(found)

    # --- sending --------------------------------------------------------------------------------------------------

    async def _begin(self) -> int:
        """Begin to send as many as there is room for; how many."""
        if self._transport is None or self._timer.stopped:
            return 0
        # In turn: who has looked while there was no room has somebody looking after them.
        async with self._claiming:
            claimed = await self._claim(AT_ONCE - self._busy)
            self._busy += len(claimed)
        for row in claimed:
            sender = asyncio.create_task(self._send(row))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)
        return len(claimed)

    async def _claim(self, most: int) -> Sequence[AnyRow]:
        if most <= 0:
            return ()
        now = self._clock()
        async with self._database.statements() as connection:
            return await rows.claim(connection, now, now + LEASE, most)

    async def _send(self, row: AnyRow) -> None:
        # Where the database is away: what was claimed is somebody's again when its lease is over.
        with suppress(Unavailable):
            try:
                await self._deliver(row)
            finally:
                self._busy -= 1
            await self._begin()

    async def _deliver(self, row: AnyRow) -> None:
        time = asyncio.get_running_loop().time
        until = time() + LEASE.total_seconds()
        try:
            letter = self._letter(row)
            if letter is not None:
                await self._hand_over(letter)
            elif not await self._clock_agrees():
                # It may only seem too old because a clock is wrong. It is tried again when its lease is over.
                return
        except DeliveryError as refusal:
            log.warning("message %d (%s) was not taken: %s", row.id, row.kind, refusal.reason)
            await self._note_failure(row, refusal.reason, permanent=refusal.permanent)
        except Unavailable:
            raise
        except Exception as error:
            # The words of an exception may be those of a customer.
            log.error("message %d (%s) could not be written: %s", row.id, row.kind, _where(error))
            await self._note_failure(row, f"could not be written ({type(error).__name__})", permanent=False)
        else:
            await self._note_success(row, letter, until)

    async def _hand_over(self, letter: EmailMessage) -> None:
        assert self._transport is not None
        try:
            async with asyncio.timeout(_LONGEST_SENDING):
                await self._transport.send(letter)
        except TimeoutError as error:
            raise DeliveryError("timeout", permanent=False) from error

    async def _note_success(self, row: AnyRow, letter: EmailMessage | None, until: float) -> None:
        # It would go out once more if this were not written down: as long as it is ours, that is tried again.
        while True:
            try:
                async with self._database.statements() as connection:
                    if letter is None:
                        await rows.drop(connection, row.id, row.tries)
                    else:
                        await rows.sent(connection, row.id, self._clock())
                return
            except Unavailable:
                if asyncio.get_running_loop().time() + _AFTER_A_FAILURE >= until:
                    raise
                await asyncio.sleep(_AFTER_A_FAILURE)

    async def _note_failure(self, row: AnyRow, error: str, *, permanent: bool) -> None:
        now = self._clock()
        pause = None if permanent else pause_after(row.tries)
        due, failed_at = (None, now) if pause is None else (now + pause, None)
        async with self._database.statements() as connection:
            await rows.not_sent(connection, row.id, row.tries, due=due, failed_at=failed_at, error=error)

    async def _pause(self) -> float:
        if self._transport is None:
            return _LONGEST_PAUSE
        async with self._database.statements() as connection:
            at = await rows.next_due(connection)
        if at is None:
            return _LONGEST_PAUSE
        return min(max((at - self._clock()).total_seconds(), _SHORTEST_PAUSE), _LONGEST_PAUSE)

    async def _end(self) -> None:
        self._timer.stop()
        if self._senders:
            await asyncio.wait(self._senders, timeout=_FAREWELL)
        for sender in self._senders:
            sender.cancel()

    # --- letters --------------------------------------------------------------------------------------------------

    def _letter(self, row: AnyRow) -> EmailMessage | None:
        """The mail of a message; None where nobody needs it any more."""
        now = self._clock()
        if row.kind == MessageKind.ACCESS_LINK:
            return self._access_letter(row, now)
        if row.kind in (MessageKind.NEW_ADDRESS, MessageKind.ADDRESS_CHANGE):
            return self._address_letter(row, now)
        if _is_obsolete(row, now, self._site):
            return None
        return compose_booking_email(
            _news(row, now), self._site, installation=row.installation, message_id=self._message_id(row), now=now
        )

    def _access_letter(self, row: AnyRow, now: datetime) -> EmailMessage | None:
        # Only here it is looked up whether the address is known: whoever asked was answered long before.
        known = row.known or row.customer_key in self._site.admins
        if not known or row.suppressed or row.spent_at is not None or row.expires_at <= now:
            return None
        return compose_access_email(
            email=row.email,
            link=self._access.link(row.request_id),
            code=self._access.code(row.request_id, earlier=row.earlier),
            expires_at=row.expires_at,
            site=self._site,
            message_id=self._message_id(row),
            now=now,
            earlier=row.earlier,
            elsewhere=row.earlier_elsewhere,
        )

    def _address_letter(self, row: AnyRow, now: datetime) -> EmailMessage | None:
        if row.address_of is None or row.expires_at <= now:
            return None
        facts = {"expert": row.address_of, "system": self._site, "message_id": self._message_id(row), "now": now}
        if row.kind == MessageKind.ADDRESS_CHANGE:
            return address_change_letter(email=row.email, **facts)
        if row.spent_at is not None or row.pending_email != row.email:
            return None
        return new_address_letter(email=row.email, link=self._access.link(row.request_id), **facts)

    def _message_id(self, row: AnyRow) -> str:
        # The same however often it is sent, so that who gets it twice can tell.
        domain = in_ascii(parseaddr(self._site.sender)[1]).rpartition("@")[2]
        return f"<{row.id}.{row.kind}.{row.installation.hex}@{domain}>"


def _is_obsolete(row: AnyRow, now: datetime, site: Site) -> bool:
    """Whether to be told this late is worse than not at all: of a booking that is gone or long over, and reminders."""
    if row.now_is is None:
        return True
    if row.kind == MessageKind.NEW_LINK:
        return False
    if now > row.ends_at + rows.DROP_AFTER:
        return True
    if row.kind != MessageKind.REMINDER:
        return False
    if row.now_is != Status.CONFIRMED or row.now_starts_at != row.starts_at:
        return True
    due = row.starts_at - timedelta(minutes=row.minutes_before)
    return not any(begins == due and now < ends for begins, ends in reminder_windows(row.starts_at, site.reminders))


def _news(row: AnyRow, now: datetime) -> BookingEmail:
    terms = agreed_terms(row)
    status = Status(row.status)
    return BookingEmail(
        kind=MessageKind(row.kind),
        audience=Audience(row.audience),
        booking_id=row.booking_id,
        status=status,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        sequence=row.sequence,
        session_title=row.session_title,
        expert_slug=row.expert_slug,
        expert_name=row.expert_name,
        expert_email=row.expert_email,
        expert_zone=row.expert_zone,
        customer_name=row.customer_name,
        customer_email=row.customer_email,
        customer_phone=row.customer_phone,
        customer_zone=row.customer_zone,
        notes=row.notes,
        previous_starts_at=row.from_starts_at if row.kind == MessageKind.RESCHEDULED else None,
        actor=None if row.actor is None else Actor(row.actor),
        reason=row.reason,
        told_at=row.at or now,
        leeway=Leeway(
            status=status,
            starts_at=row.starts_at,
            answer_by=row.answer_by,
            cancel_until=terms.cancel_until(row.starts_at),
            reschedule_until=terms.reschedule_until(row.starts_at),
            reschedules_left=terms.reschedules_left(row.reschedules),
        ),
        minutes_before=row.minutes_before,
        key_version=row.key_version,
    )


def _minutes(span: timedelta) -> int:
    return round(span.total_seconds() / 60)


def _where(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_name}:{trace.tb_lineno}" if trace is not None else ""
    return type(error).__name__ + place
