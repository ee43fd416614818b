"""Experts: the query and pages of the catalogue, and requests that add or change an expert."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Final, Literal, Self, get_args
from uuid import UUID

from pydantic import Field, StrictBool, field_validator, model_validator

from expert_booking.domain import holidays
from expert_booking.domain.photo_images import SIZES
from expert_booking.domain.slugs import is_slug
from expert_booking.domain.text_input import clean_line
from expert_booking.schemas.cursors import CURSOR_LENGTH, ExpertSort, Place, place_of
from expert_booking.schemas.fields import (
    MAX_PAGE,
    PRINTABLE,
    WHOLE,
    Day,
    Email,
    Model,
    Patch,
    PersonName,
    RequestModel,
    Search,
    Title,
    Utc,
    ZoneName,
    at_most_items,
    checked,
    invalid_field,
    line,
    lines,
)
from expert_booking.schemas.hours import RuleRequest, WeeklyWindows
from expert_booking.schemas.session_types import MAX_SESSION_TYPES, SessionTypeRequest, SessionTypeView

_CATEGORY_LENGTH: Final = 80
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$", examples=["de"])]


def _slug(text: str) -> str:
    # A slug that looks like an id would be read as one in URLs.
    if not is_slug(text) or re.fullmatch(r"[0-9a-f]{32}", text.replace("-", "")):
        raise ValueError("Please use lowercase letters a to z, digits and single hyphens, such as jana-muller.")
    return text


def _each_once(kinds: Sequence[str]) -> list[str]:
    return sorted(set(kinds))


Headline = Annotated[str, line(160)]
Bio = Annotated[str, lines(5000)]
Years = Annotated[int, Field(ge=0, le=80), WHOLE]
Languages = Annotated[Sequence[Language], Field(max_length=20), at_most_items(20)]
Country = Annotated[str, Field(max_length=2, examples=["DE"]), checked(str, format="country", maxLength=None)]
Region = Annotated[str, Field(max_length=10, examples=["BY"])]
ExpertEmail = Literal["bookings", "changes", "reminders"]
EVERY_EMAIL: Final[Sequence[ExpertEmail]] = get_args(ExpertEmail)
WantedEmails = Annotated[Sequence[ExpertEmail], Field(max_length=20), at_most_items(20), checked(_each_once)]
Slug = Annotated[str, Field(max_length=80, examples=["jana-muller"]), checked(_slug, format="slug", maxLength=None)]


_SEARCH: Final = (
    "Words in name, category, headline and bio. Ignores accents, case and word order, and tolerates one typo in a word."
)
_BEFORE: Final = "The `previous` of an earlier response. Not together with `after`."
_MINUTES: Final = "Experts with sessions of this length. Only free times of that length count."
_Rating = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
_Minutes = Annotated[int, Field(ge=5, le=480)]
_Category = Annotated[str, checked(str, pattern=PRINTABLE, maxLength=_CATEGORY_LENGTH)]
_Cursor = Annotated[str, Field(max_length=CURSOR_LENGTH)]


class ExpertQuery(RequestModel):
    """A search in the catalogue. `timeZone` is the time zone of `freeOn` and `freeBefore`; the default is UTC.

    `after` and `before` are cursors from an earlier response; with one of them, `page` is only returned as it is.
    """

    search: Annotated[Search, Field(description=_SEARCH)] = ""
    category: Annotated[
        Sequence[_Category], Field(max_length=50, description="Experts in any of these categories.")
    ] = ()
    min_rating: Annotated[_Rating | None, Field(description="Experts with this rating or a higher one.")] = None
    language: Annotated[Language | None, Field(description="A language of the sessions, ISO 639.")] = None
    minutes: Annotated[_Minutes | None, Field(description=_MINUTES)] = None
    free_on: Annotated[Day | None, Field(description="Experts free on this day, at most 60 days ahead.")] = None
    free_before: Annotated[Day | None, Field(description="Experts with a free time before this day.")] = None
    time_zone: Annotated[ZoneName | None, Field(description="For `freeOn` and `freeBefore`; default UTC.")] = None
    sort: Annotated[ExpertSort | None, Field(description="Default: `relevance` with `search`, else `rating`.")] = None
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[_Cursor | None, Field(description="The `next` of an earlier response.")] = None
    before: Annotated[_Cursor | None, Field(description=_BEFORE)] = None
    facets: Annotated[bool, Field(description="Include the number of experts for each choice of each filter.")] = False

    @field_validator("category", mode="before")
    @classmethod
    def _one_or_many(cls, category: object) -> object:
        return [category] if isinstance(category, str) else category

    @field_validator("category")
    @classmethod
    def _named(cls, categories: Sequence[str]) -> tuple[str, ...]:
        if any(len(category) > _CATEGORY_LENGTH for category in categories):
            raise ValueError(f"Please use at most {_CATEGORY_LENGTH} characters.")
        return tuple(dict.fromkeys(filter(None, map(clean_line, categories))))

    @property
    def order(self) -> ExpertSort:
        """The sort order, with the default filled in."""
        order = self.sort or ExpertSort.RELEVANCE
        return ExpertSort.RATING if order is ExpertSort.RELEVANCE and not self.search else order

    @property
    def place(self) -> Place | None:
        """The position after which the page begins or, with `before`, before which it ends."""
        text = self.after or self.before
        return place_of(self.order, text) if text else None

    @model_validator(mode="after")
    def _cursor_of_this_order(self) -> Self:
        if self.after and self.before:
            raise invalid_field("before", "Please use either `after` or `before`, not both.")
        try:
            _ = self.place
        except ValueError as error:
            field = "after" if self.after else "before"
            raise invalid_field(field, "Please use a cursor from an earlier response with the same `sort`.") from error
        return self


class PhotoView(Model):
    """The paths of a photo: square WebP files of 160, 320 and 640 pixels. A new photo has new paths."""

    small: str
    medium: str
    large: str


def photo_view(version: str) -> PhotoView | None:
    """The paths of the photo with this version; None if it is empty."""
    if not version:
        return None
    small, medium, large = (f"/photos/{version}-{pixels}.webp" for pixels in SIZES)
    return PhotoView(small=small, medium=medium, large=large)


class ExpertView(Model):
    """An expert in the catalogue. `experience` is in years; `nextAvailable` is the next free start, in UTC.

    `photo` is null for experts without one; pages then show the drawn `/portrait/{slug}.svg`.
    """

    id: UUID
    slug: str
    name: str
    category: str
    experience: int
    rating: float | None
    rating_count: int
    headline: str
    languages: Sequence[str] = ()
    time_zone: str
    photo: PhotoView | None = None
    next_available: Utc | None = None


class ExpertDetail(ExpertView):
    """An expert with session types and bio, which is Markdown. An expert that is not `listed` is in no search."""

    bio: str
    listed: bool = True
    session_types: Sequence[SessionTypeView]


class Facet(Model):
    """The number of experts that match if this filter is set to `value` and all others stay as they are."""

    value: str
    experts: int


class Facets(Model):
    """The choices of each filter. A rating means this rating or higher."""

    categories: Sequence[Facet]
    languages: Sequence[Facet]
    minutes: Sequence[Facet]
    ratings: Sequence[Facet]


class ExpertPage(Model):
    """One page of experts. Paging with `next` as `after`, or `previous` as `before`, never repeats or skips an expert.

    `total` stops at 1,000; `totalIsCapped` is true if there are more.
    """

    experts: Sequence[ExpertView]
    total: int
    total_is_capped: bool = False
    page: int
    limit: int
    next: str | None = None
    previous: str | None = None
    facets: Facets | None = None


class ExpertFields(RequestModel):
    """The fields that hosts can set on an expert, with their defaults."""

    name: PersonName
    category: Title
    headline: Headline = ""
    bio: Bio = ""
    experience: Years = 0
    languages: Languages = ()
    time_zone: ZoneName
    country: Country | None = None
    region: Region | None = None
    closed_on_holidays: StrictBool = False
    listed: StrictBool = True
    wanted_emails: WantedEmails = EVERY_EMAIL
    email: Email


class _AddedExpert(ExpertFields):
    @model_validator(mode="after")
    def _place_known(self) -> Self:
        check_place(self.country, self.region, closed=self.closed_on_holidays)
        return self


class ExpertRequest(_AddedExpert):
    """A new expert as the services take it: with rules instead of windows, and with what only sample data has."""

    rating: _Rating | None = None
    rating_count: Annotated[int, Field(ge=0, le=2_000_000_000)] = 0
    portrait: Annotated[str, Field(max_length=120)] = ""
    slug: Slug | None = None
    session_types: Sequence[SessionTypeRequest] = ()
    rules: Sequence[RuleRequest] = ()


class NewExpert(_AddedExpert):
    """A new expert. `country` (ISO 3166) and `region` determine the public holidays."""

    slug: Annotated[Slug | None, Field(description="The default is derived from the name.")] = None
    session_types: Annotated[
        Sequence[SessionTypeRequest], Field(max_length=MAX_SESSION_TYPES), at_most_items(MAX_SESSION_TYPES)
    ] = ()
    windows: WeeklyWindows = ()

    def request(self) -> ExpertRequest:
        """Convert to the request that the services take."""
        facts = self.model_dump(exclude={"session_types", "windows"})
        rules = [RuleRequest(**asdict(window.rule)) for window in self.windows]
        return ExpertRequest(**facts, session_types=self.session_types, rules=rules)


class ExpertChange(ExpertFields, Patch):
    """Changes to an expert. `country: null` and `region: null` remove them.

    `bio` is Markdown. `wantedEmails` are the emails about bookings that the expert gets: `bookings` about new bookings
    and requests, `changes` about reschedules, cancellations and answers, and `reminders`.
    """

    name: PersonName = ""
    category: Title = ""
    time_zone: ZoneName = ""
    email: Email = ""
    slug: Slug = ""
    active: StrictBool = True


class ExpertRecord(ExpertDetail):
    """An expert as hosts see it: with inactive session types and private fields."""

    email: str
    # A new email address that is not confirmed yet.
    pending_email: str | None
    active: bool
    country: str | None
    region: str | None
    closed_on_holidays: bool
    wanted_emails: Sequence[str] = EVERY_EMAIL

    @property
    def version(self) -> str:
        """A hash of the fields that PATCH changes, for the ETag. Photo and address have steps of their own."""
        return sha256(self.model_dump_json(include=_VERSIONED).encode()).hexdigest()[:32]


_VERSIONED: Final = {
    "slug", "name", "category", "experience", "headline", "bio", "languages", "time_zone", "country", "region",
    "closed_on_holidays", "listed", "wanted_emails", "active",
}  # fmt: skip


def check_place(country: str | None, region: str | None, *, closed: bool) -> None:
    """Check that the public holidays of a country and region are known. Raises PydanticCustomError if not."""
    field_error = holidays.holiday_place_error(country, region, closed=closed)
    if field_error is not None:
        raise invalid_field(*field_error)
