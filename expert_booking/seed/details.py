"""Languages, further session types, terms and holidays of the experts in the sample data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from expert_booking.domain.locations import LocationKind
from expert_booking.domain.prices import Price
from expert_booking.domain.questions import QuestionKind
from expert_booking.domain.terms import Confirmation, EmailVerification, Terms
from expert_booking.schemas import DayWindow, OfferedLocation, QuestionRequest
from expert_booking.seed.people import OFFICE, WORKDAYS, Hours, week


@dataclass(frozen=True, slots=True)
class Details:
    """What distinguishes an expert. `languages` are ISO 639-1 codes.

    `first_talk` and `long_minutes` are session types beside the main one; `long_cap` is the daily cap of the long one.
    """

    languages: tuple[str, ...]
    country: str | None = None
    region: str | None = None
    closed_on_holidays: bool = False
    first_talk: bool = False
    long_minutes: int | None = None
    long_cap: int | None = None
    email_verification: EmailVerification = EmailVerification.NEVER
    # Weekly hours that replace the usual ones LATER_WEEKS after the sample data was made.
    later_hours: Hours | None = None
    # In days after the sample data was made: days without hours, days with EVENING, and days off (first, last, reason).
    shut_days: tuple[int, ...] = ()
    evenings: tuple[int, ...] = ()
    holidays: tuple[int, int, str] | None = None


LATER_WEEKS: Final = 5
EVENING: Final = DayWindow(opens="18:00", closes="21:00")
FIRST_TALK: Final = "First talk"
FIRST_TALK_TEXT: Final = "Half an hour to find out whether I am the right person for you, and where we would begin."
LONG_TEXT: Final = (
    "For anything that needs more time: to look closely, to try things out, and to write down what comes next."
)
MAIN_TEXTS: Final[Mapping[str, str]] = {
    "Career coaching": "We look at where you stand, agree on the next three steps, and rehearse the hardest of them.",
    "Design": "Send a link or a file the day before. We go through it together, and you keep my annotated notes.",
    "Finance": "Bring the figures you have, however untidy. At the end there is one sheet that you can keep using.",
    "Fitness": "You need two square metres and a camera. I watch, correct, and send you the plan afterwards.",
    "Languages": "Conversation about whatever you like, with corrections in writing at the end.",
    "Law": "We read what you have, mark what matters, and find words for the next letter.",
    "Marketing": "One text, one page or one plan, worked on together until it can be published.",
    "Nutrition": "We look at one real week of yours and change as little as possible of it.",
    "Psychology": "A quiet hour with a beginning and an end. What we talk about stays between us.",
    "Software": "Share the code or the question a day before. We work on it together and write down what is left.",
}
_HOUR: Final = 60
_DAY: Final = 24 * _HOUR
# Experts have two or three days to answer, so requests that are pending in new sample data stay pending for a while.
TERMS: Final[Mapping[str, Terms]] = {
    "Career coaching": Terms(Confirmation.BY_EXPERT, 2 * _DAY, _DAY, 12 * _HOUR, 2),
    "Design": Terms(Confirmation.INSTANT, cancel_notice_minutes=12 * _HOUR, reschedule_notice_minutes=4 * _HOUR),
    "Finance": Terms(Confirmation.BY_EXPERT, 3 * _DAY, 2 * _DAY, _DAY, 1),
    "Fitness": Terms(Confirmation.INSTANT, cancel_notice_minutes=6 * _HOUR, reschedule_notice_minutes=2 * _HOUR),
    "Languages": Terms(Confirmation.INSTANT, 2 * _DAY, 12 * _HOUR, 6 * _HOUR, 3),
    "Law": Terms(Confirmation.BY_EXPERT, 2 * _DAY, 2 * _DAY, 2 * _DAY, 1),
    "Marketing": Terms(Confirmation.BY_EXPERT, 2 * _DAY, _DAY, 12 * _HOUR),
    "Nutrition": Terms(Confirmation.INSTANT, 2 * _DAY, _DAY, 12 * _HOUR, 2),
    "Psychology": Terms(Confirmation.BY_EXPERT, 3 * _DAY, 2 * _DAY, 2 * _DAY, 1),
    "Software": Terms(Confirmation.INSTANT, cancel_notice_minutes=4 * _HOUR, reschedule_notice_minutes=_HOUR),
}
FIRST_TALK_TERMS: Final = Terms(Confirmation.INSTANT, cancel_notice_minutes=_HOUR, reschedule_notice_minutes=_HOUR)
LONG_TERMS: Final = Terms(Confirmation.BY_EXPERT, 3 * _DAY, 3 * _DAY, 2 * _DAY, 0)
DETAILS: Final[Mapping[str, Details]] = {
    "Jana Müller": Details(("de", "en"), "DE", "BE", True, True, 90, holidays=(19, 23, "Autumn with the children")),
    "Marcus Reid-Thompson": Details(("en",), "US", "NY", True, True),
    "Aroha Ngata": Details(("en", "mi"), "NZ", None, False, True, 90),
    "Søren Lindqvist": Details(("da", "sv", "en"), "DK", None, True, False, 120, 1),
    "Yuki Tanabe": Details(("ja", "en"), "JP", None, False, True, shut_days=(4, 11)),
    "Inês Carvalho": Details(("pt", "en", "es"), "PT", None, True, True),
    "Priya Raghavan": Details(("en", "hi", "ta"), "IN", None, False, True, 90),
    "Declan O’Brien": Details(("en", "ga"), "IE", None, True, evenings=(8,)),
    "Bruno Almeida Núñez": Details(("pt", "es", "en"), "BR", "SP", True, True),
    "Wanjiru Kamau": Details(("sw", "en"), "KE", None, False, True, holidays=(12, 14, "A race")),
    "Tom Bailey": Details(("en",), "CA", "NL", True, True),
    "Mei-Ling Chua": Details(("en", "zh", "ms"), "SG", None, True, long_minutes=90, long_cap=2),
    "Camille Lefèvre": Details(("fr", "en"), "FR", None, True, True, 90, shut_days=(6,)),
    "Diego Fuentes": Details(("es", "en", "fr"), "CL", None, True, True),
    "Łukasz Wójcik": Details(("pl", "en"), "PL", None, True, True, email_verification=EmailVerification.NEW_ADDRESSES),
    "Dr. Friederike von Hohenstein-Großkreutz": Details(("de", "en"), "AT", "9", True, long_minutes=120, long_cap=1),
    "Samir Haddad": Details(("ar", "en", "fr"), "EG", None, True, True),
    "Grace Okafor": Details(("en", "ig", "yo"), "NG", None, False, True, 90),
    "Noah Steiner": Details(("de", "fr", "en"), "CH", "ZH", True, long_minutes=120),
    "Hannah Whitlock": Details(("en",), "GB", "ENG", True, True, evenings=(3, 10)),
    "Kai Nakamura": Details(("en", "ja"), "US", "CA", True, True),
    "Sunita Gurung": Details(("ne", "en", "hi"), None, None, False, True, later_hours=OFFICE),
    "Matteo Ricci": Details(("it", "en"), "IT", None, True, True),
    "Olivia Grant": Details(
        ("en",), "AU", "SA", True, False, holidays=(9, 16, "At the sea"), email_verification=EmailVerification.ALWAYS
    ),
    "Elif Yıldız": Details(("tr", "en", "de"), "TR", None, True, True, 90),
    "Benjamin Ashworth": Details(("en",), "AU", "NSW", True, later_hours=week(WORKDAYS, ("09:00", "13:00"))),
    "Lucía Fernández": Details(("es", "ca", "en"), "ES", "MD", True, True),
    "Bo Li": Details(("en", "zh"), "US", "IL", False, True, 120),
    "Anneke de Vries": Details(("nl", "en", "de"), "NL", None, True, True, 90, shut_days=(5,)),
    "Rajesh Subramaniam": Details(("en", "hi", "te"), "IN", None, False, False, 90),
}
# What a session of an hour costs. The first talk is then free. The others state no price.
PRICES: Final[Mapping[str, Price]] = {
    "Jana Müller": Price(9000, "EUR"), "Marcus Reid-Thompson": Price(12000, "USD"), "Aroha Ngata": Price(11000, "NZD"),
    "Søren Lindqvist": Price(85000, "DKK"), "Yuki Tanabe": Price(9500, "JPY"), "Inês Carvalho": Price(5500, "EUR"),
    "Priya Raghavan": Price(250000, "INR"), "Łukasz Wójcik": Price(22000, "PLN"), "Noah Steiner": Price(16000, "CHF"),
    "Hannah Whitlock": Price(7000, "GBP"), "Matteo Ricci": Price(6000, "EUR"), "Samir Haddad": Price(150000, "EGP"),
}  # fmt: skip
# Where they meet their customers. The others say nothing about it.
LOCATIONS: Final[Mapping[str, Sequence[OfferedLocation]]] = {
    name: [OfferedLocation(id=kind.value, kind=kind, text=text) for kind, text in places]
    for name, places in {
        "Jana Müller": [(LocationKind.VIDEO, "https://video.example.com/{room}"),
                        (LocationKind.ADDRESS, "Kastanienallee 12, 10435 Berlin")],
        "Marcus Reid-Thompson": [(LocationKind.PHONE, "")],
        "Priya Raghavan": [(LocationKind.VIDEO, "https://video.example.com/priya")],
        # The first one is the default, so it needs no words of the customer.
        "Hannah Whitlock": [(LocationKind.VIDEO, "https://video.example.com/hannah"),
                            (LocationKind.CUSTOMER, "Anywhere within the M25.")],
    }.items()
}  # fmt: skip
# What they ask. Not required, so that programs can book with every expert of the demo.
QUESTIONS: Final[Mapping[str, Sequence[QuestionRequest]]] = {
    "Jana Müller": [
        QuestionRequest(id="goal", kind=QuestionKind.LONG_TEXT, text="What would you like to achieve?"),
        QuestionRequest(id="met", kind=QuestionKind.YES_NO, text="Have we met before?"),
    ],
    "Wanjiru Kamau": [
        QuestionRequest(
            id="sports", kind=QuestionKind.CHOICES, text="What do you do already?",
            options=["Running", "Swimming", "Cycling", "Nothing yet"],
        ),
        QuestionRequest(id="health", kind=QuestionKind.LONG_TEXT, text="Any injuries?", sensitive=True),
    ],
}  # fmt: skip
PAYMENT_NOTE: Final = "You get an invoice after the session. Please pay it within 14 days."
# The second language of generated experts, besides English, by time zone.
SPOKEN: Final[Mapping[str, str]] = {
    "Europe/Berlin": "de", "Europe/Lisbon": "pt", "Europe/Paris": "fr", "Europe/Madrid": "es", "Europe/Rome": "it",
    "Europe/Warsaw": "pl", "Europe/Athens": "el", "Europe/Helsinki": "fi", "Europe/Istanbul": "tr",
    "America/Mexico_City": "es", "America/Bogota": "es", "America/Sao_Paulo": "pt",
    "America/Argentina/Buenos_Aires": "es", "Africa/Cairo": "ar", "Africa/Nairobi": "sw", "Asia/Dubai": "ar",
    "Asia/Kolkata": "hi", "Asia/Kathmandu": "ne", "Asia/Singapore": "zh", "Asia/Tokyo": "ja", "Asia/Seoul": "ko",
}  # fmt: skip
