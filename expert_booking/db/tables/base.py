"""The metadata that all tables belong to, and the condition that makes a booking live."""

from typing import Final

from sqlalchemy import MetaData

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# The statuses of lifecycle.LIVE, as an SQL condition. All fences use it.
LIVE_ROWS: Final = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show', 'blocked')"
# A price has both an amount and a currency, or neither.
PRICE_IS_WHOLE: Final = "(price_amount IS NULL) = (price_currency IS NULL) AND price_amount >= 0"
