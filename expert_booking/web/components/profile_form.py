"""The fields of an expert's profile, with a preview of the bio, and marks for what is not saved."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nicegui import ui
from nicegui.element import Element

from expert_booking.domain.display_names import country_names, language_names, region_names
from expert_booking.domain.time_zones import ZONE_NAMES
from expert_booking.schemas import ExpertRecord
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.markdown import bio_html

# The fields by their names in the API.
LABELS: Final[Mapping[str, str]] = {
    "name": "Name", "slug": "Address of your page", "headline": "Headline", "bio": "About you",
    "category": "Category", "languages": "Languages of your sessions", "experience": "Years of experience",
    "timeZone": "Time zone", "country": "Country", "region": "Region", "listed": "Show me in the list of experts",
    "wantedEmails": "Emails you get",
}  # fmt: skip
_EMAILS: Final = {
    "bookings": "New bookings and requests",
    "changes": "Rescheduled and cancelled bookings",
    "reminders": "Reminders before sessions",
}
_BIO_HINT: Final = "Markdown: **bold**, *italic*, # heading, - list, [link](https://…)"
_ZONES: Final = {zone: zone for zone in sorted(ZONE_NAMES)}
_PREVIEW_DELAY: Final = 300  # milliseconds without typing


class ProfileForm:
    """Builds the fields. `on_change` is called after each change of a value by the expert."""

    def __init__(self, record: ExpertRecord, categories: Sequence[str], *, on_change: Callable[[], Any]) -> None:
        self._record = record
        self._on_change = on_change
        self._showing = True
        self._fields: dict[str, Any] = {}
        self._names: dict[str, Callable[[], Mapping[str, str]]] = {}
        self._draw_about(record, categories)
        self._draw_place(record)
        self._draw_emails(record)
        self._showing = False

    @property
    def record(self) -> ExpertRecord:
        """The profile as it was read last."""
        return self._record

    def changes(self) -> dict[str, Any]:
        """What differs from the profile as it was read, by the names in the API."""
        before = values_of(self._record)
        return {name: value for name, value in self._values().items() if value != before[name]}

    def show(self, record: ExpertRecord, keep: Mapping[str, Any] | None = None) -> None:
        """Show this profile and compare with it from now on. `keep` are changes that stay, as from `changes`."""
        self._showing = True
        self._record = record
        values = values_of(record) | dict(keep or {})
        values["country"], values["region"] = values["country"] or "", values["region"] or ""
        for name, names in self._names.items():
            field = self._fields[name]
            if missing := _chosen(values[name], names()).items() - field.options.items():
                field.set_options({**field.options, **dict(missing)}, value=field.value)
            field.set_value(values[name])
        self._set_regions(values["country"], values["region"])
        for name, field in self._fields.items():
            field.set_value(values[name])
        self._listed.set_value(values["listed"])
        for kind, box in self._emails.items():
            box.set_value(kind in values["wantedEmails"])
        self.show_errors({})
        self._showing = False

    def show_errors(self, errors: Mapping[str, str]) -> list[str]:
        """Show errors next to their fields, and return those of other fields."""
        for name, field in self._fields.items():
            field.error = errors.get(name)
        first = next((field for name, field in self._fields.items() if name in errors), None)
        if first is not None:
            first.run_method("focus")
        return [message for name, message in errors.items() if name not in self._fields]

    def _draw_about(self, record: ExpertRecord, categories: Sequence[str]) -> None:
        with _panel("About you"):
            with ui.element("div").classes("fields"):
                self._add("name", ui.input(LABELS["name"], value=record.name), "maxlength=120 autocomplete=name")
                self._add("slug", ui.input(LABELS["slug"], value=record.slug), "maxlength=80 prefix=/expert/")
                self._fields["slug"].props('hint="Links with an old address keep working."')
                self._add("category", ui.input(LABELS["category"], value=record.category), "list=categories")
                years = ui.number(LABELS["experience"], value=record.experience, min=0, max=80, precision=0)
                self._add("experience", years)
            self._add("headline", ui.input(LABELS["headline"], value=record.headline), "maxlength=160")
            with Element("datalist").props("id=categories"):
                for category in categories:
                    Element("option").props["value"] = category
            with ui.element("div").classes("bio-fields"):
                bio = ui.textarea(LABELS["bio"], value=record.bio, on_change=self._preview_bio)
                self._add("bio", bio, f"autogrow debounce={_PREVIEW_DELAY}")
                bio.props["hint"] = _BIO_HINT
                with Element("section").props('aria-label="Preview of your bio"').classes("preview"):
                    self._preview = RawHtml(plain_json(bio_html(record.bio)))

    def _draw_place(self, record: ExpertRecord) -> None:
        with _panel("Where and how"), ui.element("div").classes("fields"):
            languages = self._choice("languages", list(record.languages), language_names, multiple=True)
            languages.props("use-chips")
            self._choice("timeZone", record.time_zone, _zones)
            country = self._choice("country", record.country or "", _countries)
            country.on_value_change(lambda event: self._set_regions(event.value, ""))
            regions = _regions(record.country, record.region)
            self._add("region", ui.select(regions, label=LABELS["region"], value=record.region or ""))

    def _choice(self, name: str, value: Any, names: Callable[[], Mapping[str, str]], *, multiple: bool = False) -> Any:
        """Add a list to choose from. NiceGUI takes 0.1 ms for each option, so all are added only on the first focus."""
        field = ui.select(_chosen(value, names()), label=LABELS[name], value=value, multiple=multiple, with_input=True)

        def load() -> None:
            if len(field.options) < len(names()):
                field.set_options({**_chosen(field.value, names()), **names()}, value=field.value)

        field.on("focus", load, args=[])
        self._add(name, field)
        self._names[name] = names
        return field

    def _draw_emails(self, record: ExpertRecord) -> None:
        with _panel("Who finds you, and what we send you"):
            self._listed = ui.switch(LABELS["listed"], value=record.listed, on_change=self._changed)
            ui.label("When this is off, people who have the link can still book you.").classes("soft small")
            with Element("fieldset").classes("plain-fieldset"):
                RawHtml(plain_json(LABELS["wantedEmails"]), tag="legend")
                self._emails = {
                    kind: ui.checkbox(label, value=kind in record.wanted_emails, on_change=self._changed)
                    for kind, label in _EMAILS.items()
                }

    def _add(self, name: str, field: Any, props: str = "") -> None:
        field.props(f"outlined {props}").on_value_change(self._changed)
        self._fields[name] = field

    def _values(self) -> dict[str, Any]:
        values = {name: field.value for name, field in self._fields.items()}
        years = values["experience"]
        return {
            **values,
            "experience": int(years) if isinstance(years, float | int) and years == int(years) else years,
            "languages": list(values["languages"] or ()),
            "country": values["country"] or None,
            "region": values["region"] or None,
            "listed": self._listed.value,
            "wantedEmails": sorted(kind for kind, box in self._emails.items() if box.value),
        }

    def _set_regions(self, country: str | None, region: str | None) -> None:
        if "region" in self._fields:
            self._fields["region"].set_options(_regions(country, region), value=region or "")

    def _preview_bio(self) -> None:
        self._preview.show(bio_html(self._fields["bio"].value or ""))

    def _changed(self) -> None:
        if not self._showing:
            self._on_change()


def values_of(record: ExpertRecord) -> dict[str, Any]:
    """The fields of a profile as the API names them."""
    values = record.model_dump(mode="json", by_alias=True)
    return {name: values[name] for name in LABELS} | {"wantedEmails": sorted(record.wanted_emails)}


def _regions(country: str | None, region: str | None) -> dict[str, str]:
    known = region_names(country or "")
    return {"": "None", **known, **({region: region} if region and region not in known else {})}


def _zones() -> Mapping[str, str]:
    return _ZONES


def _countries() -> Mapping[str, str]:
    return {"": "None", **country_names()}


def _chosen(value: str | Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """The options for the chosen values only."""
    return {one: names.get(one, one) for one in ([value] if isinstance(value, str) else value)}


def _panel(title: str) -> Element:
    panel = Element("section").classes("panel profile-panel")
    with panel:
        RawHtml(plain_json(title), tag="h2")
    return panel
