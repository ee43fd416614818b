"""`/console/statistics`: bookings, utilisation, lead time, cancellations and no-shows, as charts and as tables."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from markupsafe import Markup
from nicegui import ui
from pydantic import ValidationError

from expert_booking.domain.calendar import DAY
from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.statistics import monday_of
from expert_booking.schemas import Statistics, StatisticsQuery, field_errors
from expert_booking.services import Services
from expert_booking.web import console, layout
from expert_booking.web.components import statistics_charts as charts

# The periods to choose from, in weeks with the current one.
_PERIODS: Final = (("4 weeks", 4), ("12 weeks", 12), ("52 weeks", 52))


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "statistics")
    async def statistics(page: console.Console, request: Request) -> None:
        wanted = {name: request.query_params[name] for name in ("from", "to") if request.query_params.get(name)}
        key = await services.calendars.key(str(page.expert.id), await page.caller())
        try:
            counted = await services.statistics.read(key, StatisticsQuery.model_validate(wanted))
            errors: Mapping[str, str] = {}
        except ValidationError as error:
            errors = {one.field: one.message for one in field_errors(error)}
        except FieldsWrong as refusal:
            errors = refusal.errors
        if errors:
            counted = await services.statistics.read(key, StatisticsQuery())
        with page.frame("statistics", "Statistics"):
            _draw_period(page, counted, wanted, errors)
            _draw(page, counted)


def _draw_period(
    page: console.Console, counted: Statistics, wanted: Mapping[str, str], errors: Mapping[str, str]
) -> None:
    """The days to choose. A wrong day stays in its field, with the reason below it."""
    today = page.services.clock().astimezone(page.zone).date()
    with ui.element("div").classes("statistics-period"):
        fields = {
            name: ui.input(label, value=wanted.get(name, str(day)) if errors else str(day)).props(
                "outlined dense stack-label type=date min=1970-01-01 max=2200-12-31"
            )
            for name, label, day in (("from", "From", counted.since), ("to", "To", counted.until))
        }
        for name, message in errors.items():
            if name in fields:
                fields[name].error = console.plain(message)

        def show() -> None:
            ui.navigate.to(_url(page, {name: field.value or "" for name, field in fields.items()}))

        for field in fields.values():
            field.on("keydown.enter", show)
        ui.button("Show", on_click=show).props("unelevated")
        layout.html(_period_links(page, counted, today)).classes("statistics-links")


def _period_links(page: console.Console, counted: Statistics, today: date) -> Markup:
    link = Markup('<a href="{}"{}>{}</a>')
    last = monday_of(today) + 6 * DAY
    links = []
    for text, weeks in _PERIODS:
        first = monday_of(today) - 7 * (weeks - 1) * DAY
        is_shown = (first, last) == (counted.since, counted.until)
        links.append(link.format(_url(page, {"from": str(first), "to": str(last)}),
                                 Markup(' aria-current="true"') if is_shown else "", text))  # fmt: skip
    days = {"from": str(counted.since), "to": str(counted.until)}
    export = Markup('<a class="button quiet" href="{}" download>Export CSV</a>').format(_url(page, days, ".csv"))
    return Markup('<nav aria-label="Period">{}</nav>{}').format(Markup("").join(links), export)


def _url(page: console.Console, parameters: Mapping[str, str], file: str = "") -> str:
    path, _, chosen = page.url("statistics").partition("?")
    return f"{path}{file}?" + "&".join(filter(None, (chosen, urlencode({k: v for k, v in parameters.items() if v}))))


def _draw(page: console.Console, counted: Statistics) -> None:
    layout.html(charts.tiles(counted.total)).classes("statistics-tiles")
    total = counted.total
    if not (total.bookings or total.cancelled or total.declined):
        layout.html(charts.NOTHING.format(url=f"/expert/{page.expert.slug}")).classes("empty panel")
        return
    with ui.element("div").classes("statistics-charts"):
        _draw_chart("Bookings by week", charts.bookings_chart(counted), charts.weeks_table(counted))
        _draw_chart("Utilisation by week", charts.utilisation_chart(counted), charts.use_table(counted))
        _draw_chart("When sessions start", charts.hours_chart(counted), charts.hours_table(counted))
        _draw_chart("Session types", charts.types_chart(counted), charts.types_table(counted))
    layout.html(charts.explanation(counted)).classes("soft small statistics-notes")


def _draw_chart(title: str, options: Mapping[str, Any], table: Markup) -> None:
    with ui.element("section").classes("panel statistics-chart").props(f'aria-label="{title}"'):
        layout.html(Markup.escape(title), tag="h2")
        # As SVG, whose colours follow the page's theme.
        ui.echart(dict(options), renderer="svg").props(
            f'role=img aria-label="{title}. The table has the same numbers."'
        )
        layout.html(Markup("<details><summary>Show as table</summary>{}</details>").format(table))
