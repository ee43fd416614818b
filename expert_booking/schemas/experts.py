"""The catalogue: what is looked for, what is shown, who comes in."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Self
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
from expert_booking.schemas.words import (
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

Category = Annotated[str, Field(max_length=80), AfterValidator(one_line)]
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


class ExpertSort(StrEnum):
    """The orders of the catalogue; every one is completed by the id, so that no page repeats or drops anybody."""

    RELEVANCE = "relevance"
    RATING = "rating"
    EXPERIENCE = "experience"
    NAME = "name"
    SOONEST = "soonest"


class ExpertQuery(Model):
    """What to look for in the catalogue. `time_zone` says whose days `free_on` and `free_before` are; default UTC.

    `after` and `before` are the cursors of an earlier answer; with one of them `page` is only a number to show.
    """

    search: Search = ""
    category: Annotated[Sequence[Category], Field(max_length=50)] = ()
    min_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    language: Language | None = None
    minutes: Annotated[int, Field(ge=5, le=480, description="Length of the session.")] | None = None
    free_on: Day | None = None
    free_before: Day | None = None
    time_zone: ZoneName | None = None
    sort: Annotated[ExpertSort | None, Field(description="By default relevance with `search`, else rating.")] = None
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[str, Field(max_length=400)] | None = None
    before: Annotated[str, Field(max_length=400)] | None = None
    facets: bool = False

    @field_validator("category", mode="before")
    @classmethod
    def _one_or_many(cls, category: object) -> object:
        return [category] if isinstance(category, str) else category

    @field_validator("category")
    @classmethod
    def _named(cls, categories: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, categories)))

    @property
    def order(self) -> ExpertSort:
        """The order that is meant."""
        return self.sort or (ExpertSort.RELEVANCE if self.search else ExpertSort.RATING)


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
    """One page. `next` and `previous` are cursors for `after` and `before`: paging by them never repeats anybody."""

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
    active: bool
    country: str | None
    region: str | None
    closed_on_holidays: bool


def check_place(country: str | None, region: str | None, *, closed: bool) -> None:
    """Raises PydanticCustomError for a country or region whose public holidays nobody knows."""
    complaint = holidays.place_complaint(country, region, closed=closed)
    if complaint is not None:
        raise wrong(*complaint)
