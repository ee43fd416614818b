"""Statistics of bookings: figures, the options of charts, and the same numbers as tables.

The charts are SVG, so their colours can be the variables of the style sheet, which change with the theme.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from markupsafe import Markup

from expert_booking.schemas import BookingFigures, OfferedFigures, Statistics

NOTHING: Final = Markup(
    "<h2>No bookings on these days</h2><p>Choose other days, or share your page so that people can book.</p>"
    '<a class="button quiet" href="{url}">See your public page</a>'
)
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TILE: Final = Markup('<div><dt>{name}</dt><dd>{value}</dd><dd class="soft small">{note}</dd></div>')
_TABLE: Final = Markup(
    '<div class="statistics-table" tabindex="0" role="region" aria-label="{title}, table"><table>'
    '<caption class="sr-only">{title}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
)
_HEAD: Final = Markup('<th scope="col">{}</th>')
_ROW: Final = Markup('<tr><th scope="row">{}</th>{}</tr>')
_CELL: Final = Markup("<td>{}</td>")
# As in style.css. The charts measure their texts with it.
_FONT: Final = 'Inter, system-ui, -apple-system, "Segoe UI", sans-serif'
_AXIS: Final[dict[str, Any]] = {
    "axisLabel": {"color": "var(--ink-soft)", "fontFamily": _FONT},
    "axisLine": {"lineStyle": {"color": "var(--line-strong)"}},
    "splitLine": {"lineStyle": {"color": "var(--line)"}},
    "axisTick": {"show": False},
}
_TOOLTIP: Final[dict[str, Any]] = {
    "backgroundColor": "var(--card)",
    "borderColor": "var(--line)",
    "textStyle": {"color": "var(--ink)", "fontFamily": _FONT},
    "confine": True,
}
_BASE: Final[dict[str, Any]] = {
    "textStyle": {"fontFamily": _FONT, "color": "var(--ink)"},
    "animation": False,
    "grid": {"left": 8, "right": 16, "top": 40, "bottom": 8, "containLabel": True},
}
_LEGEND: Final = {
    "top": 0,
    "left": 0,
    "itemWidth": 14,
    "itemGap": 14,
    "textStyle": {"color": "var(--ink)", "fontFamily": _FONT},
}


def tiles(total: OfferedFigures) -> Markup:
    """The figures of the whole period."""
    requests = total.bookings + total.cancelled + total.declined
    offered = f"{_hours(total.booked_minutes)} of {_hours(total.offered_minutes)}"
    figures = (
        ("Bookings", f"{total.bookings:,}", f"of {requests:,} requested"),
        ("Utilisation", percent(total.utilisation), offered),
        ("Lead time", lead(total.lead_minutes), "median, from booking to start"),
        ("Cancelled", f"{total.cancelled:,}", f"{_share(total.cancelled, requests)} of requests"),
        ("No-shows", f"{total.no_shows:,}", f"{_share(total.no_shows, total.bookings)} of bookings"),
    )
    shown = (_TILE.format(name=name, value=value, note=note) for name, value, note in figures)
    return Markup("<dl>{}</dl>").format(Markup("").join(shown))


def bookings_chart(counted: Statistics) -> dict[str, Any]:
    """Bookings, no-shows, cancellations and declined requests of each week, stacked."""
    series = (
        ("Kept", "var(--brand)", [week.bookings - week.no_shows for week in counted.weeks]),
        ("No-show", "var(--warn)", [week.no_shows for week in counted.weeks]),
        ("Cancelled", "var(--bad)", [week.cancelled for week in counted.weeks]),
        ("Declined or expired", "var(--calm)", [week.declined for week in counted.weeks]),
    )
    return {
        **_BASE,
        "legend": _LEGEND,
        "media": [{"query": {"maxWidth": 420}, "option": {"grid": {"top": 64}}}],  # two rows of the legend
        "tooltip": {**_TOOLTIP, "trigger": "axis"},
        "xAxis": {"type": "category", "data": _week_labels(counted), **_AXIS},
        "yAxis": {"type": "value", "minInterval": 1, **_AXIS},
        "series": [
            {"name": name, "type": "bar", "stack": "all", "itemStyle": {"color": color}, "data": data,
             "barMaxWidth": 32, "emphasis": {"disabled": True}}
            for name, color, data in series
        ],
    }  # fmt: skip


def utilisation_chart(counted: Statistics) -> dict[str, Any]:
    """Booked of offered hours of each week, in percent."""
    data = [None if week.utilisation is None else round(100 * week.utilisation, 1) for week in counted.weeks]
    return {
        **_BASE,
        "grid": {**_BASE["grid"], "top": 16},
        "tooltip": {**_TOOLTIP, "trigger": "axis"},
        "xAxis": {"type": "category", "data": _week_labels(counted), **_AXIS},
        "yAxis": {"type": "value", "min": 0, **_AXIS, "axisLabel": {**_AXIS["axisLabel"], "formatter": "{value}%"}},
        "series": [
            {"name": "Utilisation in percent", "type": "line", "data": data, "symbolSize": 7,
             "lineStyle": {"color": "var(--brand)", "width": 2.5}, "itemStyle": {"color": "var(--brand)"},
             "areaStyle": {"color": "var(--brand)", "opacity": 0.12}, "emphasis": {"disabled": True}}
        ],
    }  # fmt: skip


def hours_chart(counted: Statistics) -> dict[str, Any]:
    """A heat map of weekday and hour. The darker, the more sessions start then."""
    hours = _shown_hours(counted)
    data = [
        [column, weekday, counted.hours[weekday][hour]]
        for weekday in range(7)
        for column, hour in enumerate(hours)
        if counted.hours[weekday][hour]
    ]
    most = max((count for _, _, count in data), default=1)
    return {
        **_BASE,
        "grid": {**_BASE["grid"], "top": 8},
        "tooltip": {**_TOOLTIP, "position": "top"},
        "xAxis": {"type": "category", "data": [f"{hour:02}:00" for hour in hours], **_AXIS},
        "yAxis": {"type": "category", "data": list(_WEEKDAYS), "inverse": True, **_AXIS},
        "visualMap": {"show": False, "min": 0, "max": most, "inRange": {"opacity": [0.15, 1]}},
        "series": [
            {"name": "Sessions", "type": "heatmap", "data": data, "emphasis": {"disabled": True},
             "itemStyle": {"color": "var(--brand)", "borderColor": "var(--card)", "borderWidth": 2, "borderRadius": 4}}
        ],
    }  # fmt: skip


def types_chart(counted: Statistics) -> dict[str, Any]:
    """The bookings of each session type."""
    return {
        **_BASE,
        "grid": {**_BASE["grid"], "top": 8},
        "tooltip": {**_TOOLTIP, "trigger": "axis"},
        "xAxis": {"type": "value", "minInterval": 1, **_AXIS},
        "yAxis": {
            "type": "category", "inverse": True, "data": [one.title for one in counted.session_types], **_AXIS,
            "axisLabel": {**_AXIS["axisLabel"], "width": 130, "overflow": "break"},
        },
        "series": [
            {"name": "Bookings", "type": "bar", "itemStyle": {"color": "var(--brand)"}, "barMaxWidth": 32,
             "data": [one.bookings for one in counted.session_types], "emphasis": {"disabled": True},
             "label": {"show": True, "position": "right", "color": "var(--ink)"}}
        ],
    }  # fmt: skip


def weeks_table(counted: Statistics) -> Markup:
    """The figures of each week."""
    head = ("Week from", "Bookings", "No-shows", "Cancelled", "Declined", "Lead time")
    rows = ((_day(week.week), *_counts(week), lead(week.lead_minutes)) for week in counted.weeks)
    return _table("Bookings by week", head, rows)


def use_table(counted: Statistics) -> Markup:
    """Booked and offered hours of each week."""
    rows = (
        (_day(week.week), _hours(week.booked_minutes), _hours(week.offered_minutes), percent(week.utilisation))
        for week in counted.weeks
    )
    return _table("Utilisation by week", ("Week from", "Booked", "Offered", "Utilisation"), rows)


def hours_table(counted: Statistics) -> Markup:
    """The sessions that start in each hour of the week."""
    hours = _shown_hours(counted)
    rows = ((name, *(row[hour] for hour in hours)) for name, row in zip(_WEEKDAYS, counted.hours, strict=True))
    return _table("When sessions start", ("Day", *(f"{hour:02}:00" for hour in hours)), rows)


def types_table(counted: Statistics) -> Markup:
    """The figures of each session type."""
    head = ("Session type", "Bookings", "No-shows", "Cancelled", "Declined", "Booked", "Lead time")
    rows = (
        (one.title, *_counts(one), _hours(one.booked_minutes), lead(one.lead_minutes)) for one in counted.session_types
    )
    return _table("Session types", head, rows)


def explanation(counted: Statistics) -> Markup:
    """What the figures mean."""
    return Markup(
        "Sessions count on the day they start, in {zone}. Bookings are pending, confirmed, completed and missed ones."
        " Offered hours follow your current plan, also for past weeks, without the time you have blocked."
    ).format(zone=counted.time_zone.replace("_", " "))


def percent(share: float | None) -> str:
    """`42%`, or a dash if nothing was offered."""
    return "–" if share is None else f"{100 * share:.0f}%"


def lead(minutes: int | None) -> str:
    """`3.5 days`, `5 hours`, `40 min`."""
    if minutes is None:
        return "–"
    if minutes >= 2 * 24 * 60:
        return f"{minutes / 1440:.1f} days"
    return f"{minutes / 60:.0f} hours" if minutes >= 120 else f"{minutes} min"


def _hours(minutes: int) -> str:
    return f"{minutes / 60:,.1f}".removesuffix(".0") + " h"


def _share(part: int, whole: int) -> str:
    return percent(part / whole if whole else None)


def _counts(figures: BookingFigures) -> Sequence[int]:
    return figures.bookings, figures.no_shows, figures.cancelled, figures.declined


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _week_labels(counted: Statistics) -> list[str]:
    return [f"{week.week.day} {week.week:%b}" for week in counted.weeks]


def _shown_hours(counted: Statistics) -> range:
    """All hours from the first to the last one with a session."""
    used = [hour for row in counted.hours for hour, count in enumerate(row) if count]
    return range(min(used, default=9), max(used, default=17) + 1)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    shown = (_ROW.format(first, Markup("").join(map(_CELL.format, rest))) for first, *rest in rows)
    return _TABLE.format(title=title, head=Markup("").join(map(_HEAD.format, head)), rows=Markup("").join(shown))
