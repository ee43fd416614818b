"""The functions and triggers of the database.

They write the history, queue the emails and send the notifications, so no writer (page, API, import, psql) can forget
to. The functions are in `db/sql/`, one file each, named after the function. A change here needs a migration.
Alembic does not compare functions and triggers, but a test compares a migrated database with one made from here.
"""

from importlib import resources
from typing import Final

from sqlalchemy import DDL, event

from expert_booking.db.tables.base import LIVE_ROWS, metadata
from expert_booking.db.tables.bookings import booking
from expert_booking.db.tables.calendars import availability_rule, day_off, override, session_type
from expert_booking.db.tables.channels import EVENT_CHANNEL, FREED_CHANNEL
from expert_booking.db.tables.experts import expert
from expert_booking.db.tables.feeds import installation
from expert_booking.db.tables.search import SEARCH_EXTENSIONS

_PLACEHOLDERS: Final = {
    "{EVENT_CHANNEL}": EVENT_CHANNEL,
    "{FREED_CHANNEL}": FREED_CHANNEL,
    "{LIVE_ROWS}": LIVE_ROWS,
}


def _function(name: str) -> str:
    """The CREATE FUNCTION statement in `db/sql/<name>.sql`, with its placeholders filled in."""
    statement = (resources.files("expert_booking.db") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    for placeholder, value in _PLACEHOLDERS.items():
        statement = statement.replace(placeholder, value)
    return statement


# Created before the tables, because generated columns call them.
SEARCH_FUNCTIONS: Final = tuple(
    _function(name) for name in ("search_folded", "search_words", "search_terms", "search_slips", "booking_search_text")
)
TRIGGER_FUNCTIONS: Final = tuple(
    _function(name)
    for name in (
        "tell_experts_changed",
        "learn_search_words",
        "keep_former_slug",
        "tell_slot_freed",
        "write_booking_history",
        "tell_slots_freed",
        "refuse_to_change_history",
        "count_booking_sequence",
        "copy_session_terms",
        "put_messages",
        "check_booking_limits",
    )
)

_TRANSITION_TABLES: Final = {
    "INSERT": "NEW TABLE AS changed",
    "UPDATE": "OLD TABLE AS changed_before NEW TABLE AS changed",
    "DELETE": "OLD TABLE AS changed",
}
TRIGGERS: Final = (
    *(
        f"CREATE TRIGGER {table.name}_news_{operation.lower()} AFTER {operation} ON {table.name} REFERENCING {changed} "
        "FOR EACH STATEMENT EXECUTE FUNCTION tell_experts_changed()"
        for table in (expert, session_type, availability_rule, override, day_off, booking)
        for operation, changed in _TRANSITION_TABLES.items()
    ),
    *(
        f"CREATE TRIGGER expert_words_{operation.lower()} AFTER {operation} ON expert REFERENCING NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION learn_search_words()"
        for operation in ("INSERT", "UPDATE")
    ),
    "CREATE TRIGGER expert_former_slug AFTER INSERT OR UPDATE OF slug ON expert "
    "FOR EACH ROW EXECUTE FUNCTION keep_former_slug()",
    *(
        f"CREATE TRIGGER booking_history_{operation.lower()} AFTER {operation} ON booking REFERENCING {changed} "
        "FOR EACH STATEMENT EXECUTE FUNCTION write_booking_history()"
        for operation, changed in _TRANSITION_TABLES.items()
    ),
    "CREATE TRIGGER booking_change_freed AFTER INSERT ON booking_change REFERENCING NEW TABLE AS written "
    "FOR EACH STATEMENT EXECUTE FUNCTION tell_slots_freed()",
    "CREATE TRIGGER booking_change_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON booking_change "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()",
    "CREATE TRIGGER booking_change_facts_stay BEFORE UPDATE ON booking_change FOR EACH ROW WHEN "
    "(to_jsonb(NEW) - 'reason' IS DISTINCT FROM to_jsonb(OLD) - 'reason' OR NEW.reason <> '') "
    "EXECUTE FUNCTION refuse_to_change_history()",
    "CREATE TRIGGER booking_sequence BEFORE UPDATE ON booking FOR EACH ROW WHEN (OLD.starts_at <> NEW.starts_at "
    "OR OLD.ends_at <> NEW.ends_at OR OLD.status <> NEW.status AND NEW.status IN ('cancelled', 'declined', 'expired')) "
    "EXECUTE FUNCTION count_booking_sequence()",
    "CREATE TRIGGER booking_terms BEFORE INSERT ON booking FOR EACH ROW WHEN (NEW.title IS NULL) "
    "EXECUTE FUNCTION copy_session_terms()",
    "CREATE TRIGGER booking_change_mail AFTER INSERT ON booking_change REFERENCING NEW TABLE AS written "
    "FOR EACH STATEMENT EXECUTE FUNCTION put_messages()",
)

# The planner ignores the statistics of a partial index, and would use it even for words that most bookings contain.
SEARCH_STATISTICS: Final = (
    "CREATE STATISTICS st_booking_search ON (booking_search_text(name, email, phone)) FROM booking"
)


def _ddl(statement: str) -> DDL:
    return DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]


for _extension in ("btree_gist", *SEARCH_EXTENSIONS):
    event.listen(metadata, "before_create", _ddl(f"CREATE EXTENSION IF NOT EXISTS {_extension}"))
for _statement in SEARCH_FUNCTIONS:
    event.listen(metadata, "before_create", _ddl(_statement))
event.listen(installation, "after_create", _ddl("INSERT INTO installation DEFAULT VALUES"))
for _statement in (*TRIGGER_FUNCTIONS, *TRIGGERS, SEARCH_STATISTICS):
    event.listen(metadata, "after_create", _ddl(_statement))
