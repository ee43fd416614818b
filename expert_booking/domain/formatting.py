"""Format times, prices and statuses for people. Times that the clock shows twice (a fold) include their UTC offset."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from babel.numbers import format_currency

from expert_booking.domain.lifecycle import Status
from expert_booking.domain.prices import Price

# The language of pages, emails and calendar files, as CLDR names it.
LOCALE: Final = "en"

# Stands for the name of a customer whose data was deleted.
DELETED_CUSTOMER: Final = "Deleted customer"
STATUS = {
    Status.HELD: "On hold",
    Status.PENDING: "Pending",
    Status.CONFIRMED: "Confirmed",
    Status.COMPLETED: "Completed",
    Status.CANCELLED: "Cancelled",
    Status.DECLINED: "Declined",
    Status.EXPIRED: "Expired",
    Status.NO_SHOW: "No-show",
    Status.BLOCKED: "Blocked",
}


def clock_time(instant: datetime, zone: ZoneInfo) -> str:
    """`10:00`, or `02:30 (UTC+2)` if the clock shows this time twice on that day."""
    local = instant.astimezone(zone)
    text = f"{local:%H:%M}"
    is_ambiguous = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f"{text} ({offset(instant, zone)})" if is_ambiguous else text


def time_span(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> str:
    """`10:00–11:00`; if it ends on another day, with that day: `23:30–00:30 on Wed 25 Nov`."""
    end = clock_time(ends_at, zone)
    if ends_at.astimezone(zone).date() != starts_at.astimezone(zone).date():
        end += f" on {short_day(ends_at, zone)}"
    return f"{clock_time(starts_at, zone)}–{end}"


def long_day(instant: datetime, zone: ZoneInfo) -> str:
    """`Tuesday, 24 November 2026`."""
    local = instant.astimezone(zone)
    return f"{local:%A}, {local.day} {local:%B %Y}"


def moment(instant: datetime, zone: ZoneInfo) -> str:
    """`Tuesday, 24 November 2026, 09:00, Europe/Berlin (UTC+1)`."""
    return f"{long_day(instant, zone)}, {clock_time(instant, zone)}, {zone_at(zone, instant)}"


def short_day(instant: datetime, zone: ZoneInfo) -> str:
    """`Tue 24 Nov`."""
    local = instant.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b}"


def near_time(instant: datetime, zone: ZoneInfo, now: datetime) -> str:
    """`Today, 14:00`, `Tomorrow, 09:00`, `Tue 24 Nov, 10:00`."""
    days = (instant.astimezone(zone).date() - now.astimezone(zone).date()).days
    day = {0: "Today", 1: "Tomorrow"}.get(days) or short_day(instant, zone)
    return f"{day}, {clock_time(instant, zone)}"


def time_left(span: timedelta) -> str:
    """`2 days left`, `3 h 12 min left`, `12 min left`, `Less than a minute left`; the page counts it down."""
    minutes = int(span.total_seconds()) // 60
    if minutes < 1:
        return "Less than a minute left"
    if minutes >= 2 * 1440:
        return f"{minutes // 1440} days left"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min left" if hours else f"{minutes} min left"


def minutes(least: int, most: int | None = None) -> str:
    """`60 minutes`, `30 to 90 minutes`."""
    return f"{least} minutes" if most in (None, least) else f"{least} to {most} minutes"


def price(cost: Price) -> str:
    """`€45.00`, `¥4,500`, `CHF 45.00`, `Free`."""
    if cost.amount == 0:
        return "Free"
    text = format_currency(cost.value, cost.currency, locale=LOCALE, decimal_quantization=False)
    # CLDR asks for a space between letters and digits, which babel leaves out.
    return re.sub(r"(?<=[^\W\d_])(?=\d)", "\u00a0", text)


def offset(instant: datetime, zone: ZoneInfo) -> str:
    """`UTC+5:45`, `UTC`, `UTC−3`."""
    seconds = int((instant.astimezone(zone).utcoffset() or timedelta()).total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    sign = "−" if seconds < 0 else "+"
    return "UTC" if seconds == 0 else f"UTC{sign}{hours}" + (f":{minutes:02}" if minutes else "")


def zone_name(zone: ZoneInfo) -> str:
    """`America/New York`."""
    return zone.key.replace("_", " ")


def zone_at(zone: ZoneInfo, instant: datetime) -> str:
    """`Europe/Berlin (UTC+1)`."""
    return f"{zone_name(zone)} ({offset(instant, zone)})" if zone != UTC_ZONE else "UTC"


UTC_ZONE = ZoneInfo("UTC")


def iso(instant: datetime) -> str:
    """The instant in UTC, as used by slots and links: `2026-11-24T09:00:00Z`."""
    return instant.astimezone(UTC).isoformat()[:19] + "Z"
