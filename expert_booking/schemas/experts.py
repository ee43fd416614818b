"""The catalogue: what is looked for, what is shown, who comes in."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import AfterValidator, Field, field_validator, model_validator

from expert_booking.domain import holidays
from expert_booking.domain.slugs import is_slug
from expert_booking.schemas.calendars import (
    MOST_SESSION_TYPES,
    RuleRequest,
    SessionTypeRequest,
    SessionTypeView,
    WeeklyWindows,
)
from expert_booking.schemas.cursors import CURSOR_LENGTH, ExpertSort, Place, place_of
from expert_booking.schemas.fields import (
    MAX_PAGE,
    Day,
    Email,
    Model,
    Name,
    Patch,
    Search,
    Title,
    Utc,
    ZoneName,
    at_most,
    clean,
    few,
    one_line,
    wrong,
)

_CATEGORY_LENGTH: Final = 80
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$", examples=["de"])]


def _slug(text: str) -> str:
    # An address with an id in it is read as the id.
    if not is_slug(text) or re.fullmatch(r"[0-9a-f]{32}", text.replace("-", "")):
        raise ValueError("Please use small letters a to z, digits and single hyphens, such as jana-muller.")
    return text


Headline = Annotated[str, at_most(160), AfterValidator(one_line)]
Bio = Annotated[str, at_most(5000), AfterValidator(clean)]
Years = Annotated[int, Field(ge=0, le=80)]
Languages = Annotated[Sequence[Language], Field(max_length=20), few(20)]
Country = Annotated[str, Field(max_length=2, examples=["DE"])]
Region = Annotated[str, Field(max_length=10, examples=["BY"])]
Slug = Annotated[str, Field(max_length=80, examples=["jana-muller"]), AfterValidator(_slug)]


class ExpertQuery(Model):
    """What to look for in the catalogue. `time_zone` says whose days `free_on` and `free_before` are; default UTC.

    `after` and `before` are the cursors of an earlier answer; with one of them `page` is only a number to show.
    """

    search: Annotated[Search, Field(description="Words in name, category, headline and bio; accents, case, word order "
                                    "and a slip in a word are forgiven.")] = ""  # fmt: skip
    category: Annotated[Sequence[str], Field(max_length=50, description="Any of these.")] = ()
    min_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    language: Annotated[Language, Field(description="Spoken in the sessions, by ISO 639.")] | None = None
    minutes: Annotated[int, Field(ge=5, le=480, description="Only experts with sessions of this length, and only "
                                  "their free times.")] | None = None  # fmt: skip
    free_on: Annotated[Day, Field(description="With a free time on this day, at most 60 days ahead.")] | None = None
    free_before: Annotated[Day, Field(description="With a free time before this day begins.")] | None = None
    time_zone: Annotated[ZoneName, Field(description="Whose days these are; default UTC.")] | None = None
    sort: Annotated[ExpertSort | None, Field(description="By default relevance with `search`, else rating.")] = None
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str, Field(max_length=CURSOR_LENGTH, description="The `next` of an answer.")] | None = None
    before: Annotated[str, Field(max_length=CURSOR_LENGTH, description="The `previous` of an answer.")] | None = None
    facets: Annotated[bool, Field(description="Count what each choice of each filter would leave.")] = False

    @field_validator("category", mode="before")
    @classmethod
    def _one_or_many(cls, category: object) -> object:
        return [category] if isinstance(category, str) else category

    @field_validator("category")
    @classmethod
    def _named(cls, categories: Sequence[str]) -> tuple[str, ...]:
        if any(len(category) > _CATEGORY_LENGTH for category in categories):
            raise ValueError(f"Please use at most {_CATEGORY_LENGTH} characters.")
        return tuple(dict.fromkeys(filter(None, map(one_line, categories))))

    @property
    def order(self) -> ExpertSort:
        """The order that is meant."""
        order = self.sort or ExpertSort.RELEVANCE
        return ExpertSort.RATING if order is ExpertSort.RELEVANCE and not self.search else order

    @property
    def place(self) -> Place | None:
        """Where the page begins or, with `before`, ends."""
        given = self.after or self.before
        return place_of(self.order, given) if given else None

    @model_validator(mode="after")
    def _cursor_of_this_order(self) -> Self:
        if self.after and self.before:
            raise wrong("before", "Please use either after or before.")
        try:
            _ = self.place
        except ValueError as error:
            field = "after" if self.after else "before"
            raise wrong(field, "Please use a cursor of an earlier answer in the same order.") from error
        return self


class ExpertView(Model):
    """An expert as the catalogue shows one. `experience` is in years; `next_available` a start, UTC."""

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
    next_available: Utc | None = None


class ExpertDetail(ExpertView):
    """One expert, with everything on offer."""

    bio: str
    session_types: Sequence[SessionTypeView]


class Facet(Model):
    """How many experts a filter would leave, all other filters as they are."""

    value: str
    experts: int


class Facets(Model):
    """The filters' choices; every rating is "at least"."""

    categories: Sequence[Facet]
    languages: Sequence[Facet]
    minutes: Sequence[Facet]
    ratings: Sequence[Facet]


class ExpertPage(Model):
    """One page. `next` and `previous` are cursors for `after` and `before`: paging by them never repeats anybody.

    `total` counts to a thousand; `total_is_capped` says that there are more.
    """

    experts: Sequence[ExpertView]
    total: int
    total_is_capped: bool = False
    page: int
    limit: int
    next: str | None = None
    previous: str | None = None
    facets: Facets | None = None


class ExpertRequest(Model):
    """A new expert. `country` (ISO 3166) and `region` say which public holidays there are."""

    name: Name
    category: Title
    headline: Headline = ""
    bio: Bio = ""
    experience_years: Years = 0
    rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    rating_count: Annotated[int, Field(ge=0, le=2_000_000_000)] = 0
    languages: Languages = ()
    time_zone: ZoneName
    country: Country | None = None
    region: Region | None = None
    closed_on_holidays: bool = False
    email: Email
    portrait: Annotated[str, Field(max_length=120)] = ""
    slug: Slug | None = None
    session_types: Sequence[SessionTypeRequest] = ()
    rules: Sequence[RuleRequest] = ()

    @model_validator(mode="after")
    def _place_known(self) -> Self:
        check_place(self.country, self.region, closed=self.closed_on_holidays)
        return self


class NewExpert(Model):
    """A new expert, as programs say it. `country` (ISO 3166) and `region` say which public holidays there are."""

    name: Name
    category: Title
    headline: Headline = ""
    bio: Bio = ""
    experience: Years = 0
    languages: Languages = ()
    time_zone: ZoneName
    country: Country | None = None
    region: Region | None = None
    closed_on_holidays: bool = False
    email: Email
    slug: Annotated[Slug | None, Field(description="By default made of the name.")] = None
    session_types: Annotated[
        Sequence[SessionTypeRequest], Field(max_length=MOST_SESSION_TYPES), few(MOST_SESSION_TYPES)
    ] = ()
    windows: WeeklyWindows = ()

    @model_validator(mode="after")
    def _place_known(self) -> Self:
        check_place(self.country, self.region, closed=self.closed_on_holidays)
        return self

    def request(self) -> ExpertRequest:
        """The same as the services add experts."""
        facts = self.model_dump(exclude={"experience", "session_types", "windows"})
        rules = [RuleRequest(**asdict(window.rule)) for window in self.windows]
        return ExpertRequest(**facts, experience_years=self.experience, session_types=self.session_types, rules=rules)


class ExpertChange(Patch):
    """What to change about an expert. `country: null` and `region: null` take them away."""

    name: Name = ""
    category: Title = ""
    headline: Headline = ""
    bio: Bio = ""
    experience: Years = 0
    languages: Languages = ()
    time_zone: ZoneName = ""
    country: Country | None = None
    region: Region | None = None
    closed_on_holidays: bool = False
    email: Email = ""
    slug: Slug = ""
    active: bool = True


class ExpertRecord(ExpertDetail):
    """One expert, as those see them who run the calendar: with all session types, and what the public does not see."""

    email: str
    # A new address that has not been confirmed yet.
    pending_email: str | None
    active: bool
    country: str | None
    region: str | None
    closed_on_holidays: bool


def check_place(country: str | None, region: str | None, *, closed: bool) -> None:
    """Raises PydanticCustomError for a country or region whose public holidays nobody knows."""
    field_error = holidays.holiday_place_error(country, region, closed=closed)
    if field_error is not None:
        raise wrong(*field_error)
