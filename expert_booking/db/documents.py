"""The JSON documents in columns of session types and bookings, as values of the domain."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from json import dumps
from typing import Any

from expert_booking.domain.locations import Location, LocationKind
from expert_booking.domain.questions import Answer, Question, QuestionKind


def location_of(document: Mapping[str, Any]) -> Location:
    """Return the location in a document."""
    return Location(LocationKind(document["kind"]), document["text"], document.get("id", ""))


def location_json(location: Location | None) -> str | None:
    """Return the document of a location, as a parameter of a statement that casts it to JSONB."""
    return None if location is None else dumps(asdict(location), ensure_ascii=False)


def question_of(document: Mapping[str, Any]) -> Question:
    """Return the question in a document."""
    return Question(**{**document, "kind": QuestionKind(document["kind"]), "options": tuple(document["options"])})


def answer_of(document: Mapping[str, Any]) -> Answer:
    """Return the answer in a document."""
    return Answer(**{**document, "kind": QuestionKind(document["kind"])})


def answers_json(answers: Sequence[Answer]) -> str:
    """Return the document of some answers, as a parameter of a statement that casts it to JSONB."""
    return dumps([asdict(answer) for answer in answers], ensure_ascii=False)
