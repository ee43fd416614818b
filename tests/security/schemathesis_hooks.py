"""What Schemathesis needs to know to generate valid requests: values of the formats that the OpenAPI document names."""

import re
from datetime import UTC, date, datetime

import schemathesis
from hypothesis import strategies as st

from expert_booking.schemas import ZONE_NAMES

FIRST, LAST = date(1970, 1, 1), date(2200, 12, 31)


def _instants() -> st.SearchStrategy[str]:
    first, last = (datetime(day.year, day.month, day.day) for day in (FIRST, LAST))  # noqa: DTZ001 - Hypothesis adds UTC
    return st.datetimes(first, last, timezones=st.just(UTC)).map(lambda at: at.isoformat().replace("+00:00", "Z"))


def _texts() -> st.SearchStrategy[str]:
    printable = st.characters(categories=("L", "N", "P", "S"), codec="utf-8")
    return st.text(printable, min_size=1, max_size=40)


FORMATS = {
    "text": _texts(),
    "date": st.dates(FIRST, LAST).map(date.isoformat),
    "date-time": _instants(),
    "email": st.from_regex(re.compile(r"[a-z]{1,20}(\.[a-z0-9]{1,20})?@example\.(com|org)", re.A), fullmatch=True),
    "time-zone": st.sampled_from(sorted(ZONE_NAMES)),
    "person-name": st.sampled_from(["Ada Lovelace", "J. R. R. Tolkien", "Zoë", "李小龍"]),
    "phone": st.sampled_from(["+49 30 1234567", "+44 20 7946 0000", "+1 212 555 0100"]),
    "country": st.sampled_from(["DE", "AT", "CH", "FR", "US"]),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
