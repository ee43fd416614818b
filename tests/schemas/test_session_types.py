"""The fields of a session type."""

from dataclasses import fields
from uuid import UUID

from expert_booking.domain.calendar import SessionLength
from expert_booking.domain.terms import Terms
from expert_booking.schemas import SessionTypeRequest, SessionTypeView

REQUESTED = set(SessionTypeRequest.model_fields)


def test_view_of_a_session_type_has_every_field_of_its_request() -> None:
    assert set(SessionTypeView.model_fields) == {"id", *REQUESTED}


def test_request_for_a_session_type_can_set_its_length_and_terms() -> None:
    assert {field.name for part in (SessionLength, Terms) for field in fields(part)} <= REQUESTED


def test_terms_of_a_view_are_those_of_the_session_type() -> None:
    terms = Terms(answer_minutes=30, cancel_notice_minutes=60, reschedule_notice_minutes=90, max_reschedules=2)
    kind = {field.name: getattr(terms, field.name) for field in fields(terms)}
    assert SessionTypeView.model_validate({"id": UUID(int=1), "title": "Talk", "minutes": 30, **kind}).terms == terms
