"""Questions of session types, and the validation of their answers, for pages and the API alike."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    Field,
    StrictBool,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.questions import WITH_OPTIONS, Answer, Question, QuestionKind, Value
from expert_booking.schemas.fields import (
    NOTES_LENGTH,
    RequestModel,
    at_most_items,
    checked,
    invalid_field,
    line,
    lines,
    not_empty,
)
from expert_booking.schemas.locations import ItemId, check_distinct, new_id
from expert_booking.schemas.validation_messages import field_error

MAX_QUESTIONS: Final = 10
MAX_OPTIONS: Final = 20
# The longest answers, in characters.
ANSWER_LENGTHS: Final = {QuestionKind.SHORT_TEXT: 200, QuestionKind.LONG_TEXT: NOTES_LENGTH, QuestionKind.NUMBER: 20}
_TEXTS: Final = {
    QuestionKind.SHORT_TEXT: TypeAdapter(Annotated[str, line(ANSWER_LENGTHS[QuestionKind.SHORT_TEXT])]),
    QuestionKind.LONG_TEXT: TypeAdapter(Annotated[str, lines(ANSWER_LENGTHS[QuestionKind.LONG_TEXT])]),
}
_NUMBER: Final = re.compile(r"[+-]?\d{1,16}(\.\d{1,10})?", re.ASCII)
_LARGEST: Final = 10**15

_NOT_EMPTY: Final = checked(not_empty, minLength=1)
QuestionText = Annotated[str, line(200), _NOT_EMPTY]
Option = Annotated[str, line(100), _NOT_EMPTY]


class QuestionRequest(RequestModel):
    """A question for the customer. Answers keep the wording they were given to."""

    id: ItemId = Field(default_factory=new_id)
    kind: QuestionKind
    text: QuestionText
    required: StrictBool = False
    sensitive: Annotated[
        StrictBool, Field(description="Whether answers are shown only after signing in, and never sent by email.")
    ] = False
    options: Annotated[
        Sequence[Option],
        Field(max_length=MAX_OPTIONS, description="What to choose from, for `choice` and `choices`."),
        at_most_items(MAX_OPTIONS),
    ] = ()

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        if self.kind in WITH_OPTIONS:
            if len(self.options) < 2:
                raise invalid_field("options", "Please enter at least two options.")
            if len(set(self.options)) < len(self.options):
                raise invalid_field("options", "Each option can be used only once.")
        elif self.options:
            raise invalid_field("options", "Only `choice` and `choices` have options.")
        return self


def _distinct(questions: Sequence[QuestionRequest]) -> Sequence[QuestionRequest]:
    check_distinct([question.id for question in questions])
    return questions


Questions = Annotated[
    Sequence[QuestionRequest], Field(max_length=MAX_QUESTIONS), at_most_items(MAX_QUESTIONS), AfterValidator(_distinct)
]
_ANSWER: Final = {
    "anyOf": [
        {"type": "string"},
        {"type": "boolean"},
        {"type": "number"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "null"},
    ]
}
# By the question's id. `answers_of` validates the values, because that needs the questions.
Answers = Annotated[dict[str, Annotated[Any, WithJsonSchema(_ANSWER)]], Field(max_length=2 * MAX_QUESTIONS)]


def answers_of(questions: Sequence[Question], given: Mapping[str, Any], *, complete: bool = True) -> list[Answer]:
    """The validated answers, in the order of the questions, without unanswered ones.

    `complete`: required questions need an answer. Raises FieldsWrong, with the field `answers.<id>` of each question.
    """
    known = {question.id for question in questions}
    wrong = {_field(name): "This question is not asked any more." for name in given if name not in known}
    answers = []
    for question in questions:
        try:
            value = _read(question, given.get(question.id))
        except ValueError as error:
            wrong[_field(question.id)] = str(error)
            continue
        if value not in (None, "", ()):
            answers.append(Answer(question.id, question.kind, question.text, value, question.sensitive))
        elif question.required and complete:
            wrong[_field(question.id)] = "Please answer this question."
    if wrong:
        raise FieldsWrong(wrong)
    return answers


def _read(question: Question, value: Any) -> Value | None:
    """Read one answer; None, an empty text or no options if there is none. Raises ValueError with a message."""
    if value is None:
        return None
    match question.kind:
        case QuestionKind.SHORT_TEXT | QuestionKind.LONG_TEXT:
            return _text(_TEXTS[question.kind], value)
        case QuestionKind.NUMBER:
            return _number(value)
        case QuestionKind.YES_NO:
            if not isinstance(value, bool):
                raise ValueError("Please answer yes or no.")
            return value
        case QuestionKind.CHOICE:
            if value != "" and value not in question.options:
                raise ValueError("Please choose one of the options.")
            return str(value)
    if not isinstance(value, list) or any(one not in question.options for one in value):
        raise ValueError("Please choose from the options.")
    return tuple(option for option in question.options if option in value)


def _text(validator: TypeAdapter[str], value: object) -> str:
    try:
        return validator.validate_python(value, strict=True)
    except ValidationError as error:
        raise ValueError(field_error(error.errors(include_url=False)[0]).message) from error


def _number(value: object) -> int | float | None:
    """A number, or the text of one as a form sends it."""
    if isinstance(value, str):
        text = value.strip().replace(",", ".")
        if not text:
            return None
        value = float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ValueError("Please enter a number.")
    return int(value) if value == int(value) else value


def _field(question_id: str) -> str:
    return f"answers.{question_id[:80]}"
