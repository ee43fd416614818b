"""Tokens and callers."""

from uuid import uuid4

import pytest
from pydantic import ValidationError

from expert_booking.schemas import Caller, Role, TokenRequest


@pytest.mark.parametrize(("role", "expert"), [("expert", None), ("admin", "jana"), ("reader", "jana")])
def test_expert_tokens_and_only_they_have_an_expert(role: str, expert: str | None) -> None:
    with pytest.raises(ValidationError, match="--expert"):
        TokenRequest(name="x", role=Role(role), expert=expert)


@pytest.mark.parametrize("days", [0, -1, 3651])
def test_token_lifetime_is_one_day_to_ten_years(days: int) -> None:
    with pytest.raises(ValueError, match="days"):
        TokenRequest(name="x", role=Role.ADMIN, days=days)


def test_roles_decide_who_reads_everything_and_who_runs_which_calendar() -> None:
    jana, omar = uuid4(), uuid4()
    admin, reader, own = Caller(role=Role.ADMIN), Caller(role=Role.READER), Caller(role=Role.EXPERT, expert_id=jana)
    assert [caller.reads_everything() for caller in (admin, reader, own)] == [True, True, False]
    assert [caller.runs(jana) for caller in (admin, reader, own)] == [True, False, True]
    assert [caller.runs(omar) for caller in (admin, reader, own)] == [True, False, False]
