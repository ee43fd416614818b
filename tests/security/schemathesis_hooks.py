"""What Schemathesis needs to know about the API: values of its formats, and rules that its schema cannot express."""

import re
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.transport import Response

from expert_booking.domain.time_zones import ZONE_NAMES

FIRST, LAST = date(1970, 1, 1), date(2200, 12, 31)
KEY: Final = re.compile(r'("?)[!#-\[\]-~]{1,255}\1')
# The messages for requests that are valid by the schema and refused all the same, because JSON Schema cannot express
# the rule. Each is documented in the description of its operation or field.
RULES: Final = re.compile(
    r"fill this in"  # after trimming
    r"|must not be before|must be after|repeatUntil. only with"  # two dates
    r"|whole minute|at most 48 hours|start the series"  # times of hosts
    r"|at most \d+ days"  # the length of a range
    r"|choose a day|days ahead"  # relative to today
    r"|characters, or send `expertId`"  # two parameters
    r"|either `after` or `before`|cursor from an earlier response"
    r"|country|region|holidays"  # which exist, and which need each other
    r"|These hours (overlap|.*close)|24 hours"  # two windows
    r"|has another override"  # two overrides of one date
    r"|looks like an id|lowercase letters"  # slugs
    r"|is not offered|not bookable|outside|in the past|too (soon|far)|already (begun|over)|hours|not open|notice|booked"
    r"|Idempotency-Key was used"
    r"|choose a (JPEG|picture)|expert's own address"
    r"|in separate requests"  # two fields of which one may be sent
    r"|at least two options|(option|id) can be used only once|have options|each session type of this expert once"
    r"|yes or no|choose (from|one of) the options|enter a number"  # the answer to a question
    r"|begins with https|phone number such as|ISO 4217"  # the text of a location, a currency
    r"|remove control characters",
    re.IGNORECASE,
)


def _instants() -> st.SearchStrategy[str]:
    first, last = (datetime(day.year, day.month, day.day) for day in (FIRST, LAST))  # noqa: DTZ001 - Hypothesis adds UTC
    return st.datetimes(first, last, timezones=st.just(UTC)).map(lambda at: at.isoformat().replace("+00:00", "Z"))


FORMATS: Final = {
    "slug": st.from_regex(re.compile("[a-z]{1,20}(-[a-z]{1,20})?", re.A), fullmatch=True),
    "date": st.dates(FIRST, LAST).map(date.isoformat),
    "date-time": _instants(),
    "email": st.from_regex(re.compile(r"[a-z]{1,20}(\.[a-z0-9]{1,20})?@example\.(com|org)", re.A), fullmatch=True),
    "time-zone": st.sampled_from(sorted(ZONE_NAMES)),
    "person-name": st.sampled_from(["Ada Lovelace", "J. R. R. Tolkien", "Zoë", "李小龍"]),
    "phone": st.sampled_from(["+49 30 1234567", "+44 20 7946 0000", "+1 212 736 5000"]),
    "country": st.sampled_from(["DE", "AT", "CH", "FR", "US"]),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)


@schemathesis.hook
def before_call(_: Any, case: schemathesis.Case, __: Any) -> None:
    """Replace valid keys, because each is valid for one request only."""
    if case.headers and KEY.fullmatch(str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = str(uuid4())


@schemathesis.check
def valid_requests_are_refused_by_documented_rules_only(
    _: schemathesis.CheckContext, response: Response, case: schemathesis.Case
) -> None:
    """Check the reason why a request that is valid by the schema got a 422."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code != 422:
        return
    problem = response.json()
    messages = [error["message"] for error in problem.get("errors", ())] or [problem["detail"]]
    undocumented = [message for message in messages if not RULES.search(message)]
    assert not undocumented, f"refused by a rule that is not in the schema: {undocumented}"
