"""Thirty hand-written experts, and the names and sentences from which thousands more are generated.

All people are invented, and all addresses use the domains reserved for examples.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

Hours = tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class Person:
    """An expert of the catalogue. `look` ("f" or "m") decides on the portrait; weekday 1 is Monday."""

    name: str
    look: str
    category: str
    headline: str
    bio: str
    experience_years: int
    rating: float | None
    rating_count: int
    time_zone: str
    hours: Hours
    session_title: str


def week(days: Iterable[int], *spans: tuple[str, str]) -> Hours:
    """Return the same hours on several weekdays."""
    return tuple((day, opens, closes) for day in days for opens, closes in spans)


WORKDAYS: Final = range(1, 6)
OFFICE: Final = week(WORKDAYS, ("09:00", "17:00"))
WITH_LUNCH: Final = week(WORKDAYS, ("09:00", "12:30"), ("13:30", "17:30"))
MORNINGS: Final = week(WORKDAYS, ("07:00", "12:00"))
AFTERNOONS: Final = week(WORKDAYS, ("13:00", "19:00"))
EVENINGS: Final = week(range(1, 5), ("17:00", "22:00"))
WEEKEND: Final = week((6, 7), ("10:00", "18:00"))
EVENINGS_AND_SATURDAY: Final = week(range(2, 6), ("18:00", "21:00")) + week((6,), ("09:00", "15:00"))
THREE_DAYS: Final = week((1, 3, 5), ("08:00", "12:00"), ("14:00", "18:00"))
LATE: Final = week((2, 3, 4), ("16:00", "24:00"))
NIGHT_OWL: Final = week((4, 5, 6), ("20:00", "02:00"))
EVERY_DAY: Final = week(range(1, 8), ("10:00", "16:00"))
SUNDAY_WEEK: Final = week((7, 1, 2, 3, 4), ("10:00", "17:00"))

CATEGORIES: Final = (
    "Career coaching", "Design", "Finance", "Fitness", "Languages", "Law", "Marketing", "Nutrition", "Psychology",
    "Software",
)  # fmt: skip

PEOPLE: Final[tuple[Person, ...]] = (
    Person(
        "Jana Müller", "f", "Career coaching", "Your next role, found with a plan instead of a hundred applications",
        "I spent eleven years hiring people for engineering firms before I changed sides. We look at what you did well, "
        "write it down so that others see it, and rehearse the talks that matter. Most people leave with three things to do.",
        14, 4.92, 318, "Europe/Berlin", WITH_LUNCH, "Career consultation",
    ),
    Person(
        "Marcus Reid-Thompson", "m", "Career coaching", "Negotiating pay, scope and title without burning bridges",
        "I negotiated contracts for a union and later for a bank, so I know both chairs. Bring your offer; we will go "
        "through it line by line and practise the call until it feels dull.",
        19, 4.78, 204, "America/New_York", OFFICE, "Offer review",
    ),
    Person(
        "Aroha Ngata", "f", "Career coaching", "For people who lead for the first time",
        "My first team had nine people and I made every mistake with it. Now I help new leads with one-on-ones, hard "
        "feedback and saying no upwards. We work on cases from your own week.",
        9, 4.85, 97, "Pacific/Auckland", MORNINGS, "Leadership talk",
    ),
    Person(
        "Søren Lindqvist", "m", "Design", "Product design reviews that end with fewer screens",
        "I draw interfaces for hospitals and railways, where nobody has time to read. Send me a link before we meet; in an "
        "hour we find what can go. You get my notes as annotated screenshots.",
        16, 4.88, 176, "Europe/Copenhagen", AFTERNOONS, "Design review",
    ),
    Person(
        "Yuki Tanabe", "f", "Design", "Portfolio critique from someone who reads forty a month",
        "As a design lead in Tokyo I choose whom we invite. I will tell you plainly which case study carries your portfolio "
        "and which one hides it, and how to tell its story in four minutes.",
        11, 4.95, 261, "Asia/Tokyo", EVENINGS, "Portfolio critique",
    ),
    Person(
        "Inês Carvalho", "f", "Design", "Type, colour and spacing for people who never studied them",
        "I teach evening classes in Lisbon and love beginners. Bring a poster, a deck or a website that bothers you; we fix "
        "it together and you learn the three rules behind it.",
        8, 4.71, 88, "Europe/Lisbon", EVENINGS_AND_SATURDAY, "Visual design lesson",
    ),
    Person(
        "Priya Raghavan", "f", "Finance", "Money plans for freelancers with uneven months",
        "I keep the books of sixty freelancers, and their years look like mountains. We set up three accounts, one rule "
        "for each invoice, and a reserve you can see. No products to sell, ever.",
        13, 4.9, 342, "Asia/Kolkata", OFFICE, "Money plan",
    ),
    Person(
        "Declan O’Brien", "m", "Finance", "Reading a balance sheet before you sign anything",
        "Twenty years of auditing small companies taught me where the surprises sit. Before you buy in, join or lend, we read "
        "the accounts together and write down the questions you should ask.",
        24, 4.66, 119, "Europe/Dublin", THREE_DAYS, "Accounts walk-through",
    ),
    Person(
        "Bruno Almeida Núñez", "m", "Finance", "Your first pricing model, built in one sheet",
        "I priced software for start-ups in São Paulo and learned that most of them charge too little. We build a sheet with "
        "your costs, your capacity and three prices, and you keep it.",
        10, 4.8, 73, "America/Sao_Paulo", AFTERNOONS, "Pricing session",
    ),
    Person(
        "Wanjiru Kamau", "f", "Fitness", "Running plans for people with jobs and knees",
        "I ran for my county and then for twenty years only for myself. Your plan fits your calendar, not the other way "
        "round; we look at your shoes, your week and one video of your stride.",
        12, 4.87, 228, "Africa/Nairobi", MORNINGS, "Running consultation",
    ),
    Person(
        "Tom Bailey", "m", "Fitness", "Strength training at home with almost nothing",
        "I train shift workers and parents in St. John's, mostly with a door, a chair and a rucksack. In an hour you get a "
        "twenty-minute routine, and I watch your form through the camera.",
        7, 4.58, 64, "America/St_Johns", EVERY_DAY, "Home training",
    ),
    Person(
        "Mei-Ling Chua", "f", "Fitness", "Pilates for backs that sit all day",
        "Ten years on stage taught me how to move, and a bad back taught me how to begin again. We start with breathing, "
        "find what is stiff, and end with five exercises for your desk.",
        15, 4.93, 187, "Asia/Singapore", EVENINGS, "Pilates session",
    ),
    Person(
        "Camille Lefèvre", "f", "Languages", "French conversation with gentle, exact corrections",
        "We talk about whatever you like, and I write down five sentences you could have said better. After the session you "
        "have them with sound. I have taught diplomats, nurses and one very shy baker.",
        17, 4.97, 412, "Europe/Paris", WITH_LUNCH, "French conversation",
    ),
    Person(
        "Diego Fuentes", "m", "Languages", "Spanish for work: meetings, mails, small talk",
        "I grew up between Santiago and Montréal and know which jokes do not travel. We rehearse your real meeting and turn "
        "your mails into Spanish that sounds like you.",
        6, 4.74, 91, "America/Santiago", LATE, "Spanish for work",
    ),
    Person(
        "Łukasz Wójcik", "m", "Languages", "Polish from zero, with a lot of laughing",
        "Seven cases are less frightening when you meet them one at a time. I teach with songs, recipes and my "
        "grandmother's sayings. After ten hours you order, ask and apologise without a book.",
        9, None, 0, "Europe/Warsaw", EVENINGS_AND_SATURDAY, "Polish lesson",
    ),
    Person(
        "Dr. Friederike von Hohenstein-Großkreutz", "f", "Law", "Tenancy and neighbours: what to write, and when to let it be",
        "I have been a lawyer for tenants and for landlords and like letters that end a quarrel. Bring your contract and the "
        "last three messages; we sort what matters and draft the answer.",
        27, 4.81, 156, "Europe/Vienna", THREE_DAYS, "Contract talk",
    ),
    Person(
        "Samir Haddad", "m", "Law", "Contracts for freelancers, explained in plain words",
        "I read contracts so that you know what you sign. We go through yours together, mark three clauses worth a talk, and "
        "find words for asking. It is orientation and does not replace a lawyer of your own.",
        12, 4.69, 83, "Africa/Cairo", SUNDAY_WEEK, "Contract reading",
    ),
    Person(
        "Grace Okafor", "f", "Law", "Founding a company: the first ten papers",
        "I helped some two hundred founders through their first year in Lagos and London. We make a list of what you need "
        "now, what can wait, and what you never need, whatever the internet says.",
        18, 4.86, 134, "Africa/Lagos", OFFICE, "Founders’ hour",
    ),
    Person(
        "Noah Steiner", "m", "Marketing", "One page that sells, written together in an hour",
        "I write landing pages for small shops and measure what they do. You bring the offer, I ask the questions your "
        "customers have, and at the end there is a text you can publish.",
        11, 4.83, 198, "Europe/Zurich", MORNINGS, "Copy workshop",
    ),
    Person(
        "Hannah Whitlock", "f", "Marketing", "Newsletters people write back to",
        "My own has eleven thousand readers and went out every Sunday for eight years. We look at your last three issues, your "
        "list and your goal, and plan the next six.",
        8, 4.76, 109, "Europe/London", AFTERNOONS, "Newsletter plan",
    ),
    Person(
        "Kai Nakamura", "m", "Marketing", "Search and analytics without the voodoo",
        "I worked in search for a decade and trust only what can be counted. We look at your numbers together, find the two "
        "pages worth your time, and set up one report that you will really read.",
        13, 4.62, 71, "America/Los_Angeles", OFFICE, "Numbers review",
    ),
    Person(
        "Sunita Gurung", "f", "Nutrition", "Eating well on night shifts and on the road",
        "I cooked on expeditions before I studied nutrition in Kathmandu. We look at one real week of yours, keep what you "
        "like, and change three meals. No forbidden lists.",
        10, 4.89, 142, "Asia/Kathmandu", WITH_LUNCH, "Nutrition talk",
    ),
    Person(
        "Matteo Ricci", "m", "Nutrition", "Cooking for sport: simple food, enough of it",
        "I cook for a cycling team and eat with them. In an hour we plan a training week and a race day from things your "
        "shop has, with amounts you can measure by hand.",
        9, 4.7, 58, "Europe/Rome", EVERY_DAY, "Sports nutrition",
    ),
    Person(
        "Olivia Grant", "f", "Nutrition", "Family meals when everybody likes something else",
        "Three children, one of them a strict pasta eater: I have tried everything on myself. We make a plan for two weeks with "
        "a shopping list, and one new dish that nobody has to like.",
        6, None, 0, "Australia/Adelaide", MORNINGS, "Family meal plan",
    ),
    Person(
        "Elif Yıldız", "f", "Psychology", "Sleep, worry and the hour before bed",
        "I work with methods that are well studied and explain each of them. We look at your evening, choose two small "
        "changes and a way to notice whether they help. It is counselling, not therapy.",
        15, 4.94, 287, "Europe/Istanbul", LATE, "Sleep counselling",
    ),
    Person(
        "Benjamin Ashworth", "m", "Psychology", "Talks that have been put off for too long",
        "I mediated in families and firms for twenty years. Tell me whom you have to talk to; we find your first sentence, the "
        "likely answers, and what you want to have said in any case.",
        22, 4.79, 165, "Australia/Lord_Howe", THREE_DAYS, "Preparing a talk",
    ),
    Person(
        "Lucía Fernández", "f", "Psychology", "Stress at work, looked at calmly",
        "I was a nurse in an emergency ward before I studied psychology, so I have a practical mind. We draw a map of your week, "
        "find what costs most, and try one thing for fourteen days.",
        12, 4.84, 149, "Europe/Madrid", AFTERNOONS, "Stress consultation",
    ),
    Person(
        "Bo Li", "m", "Software", "Code review for the part you are afraid of",
        "I maintain databases and the things around them. Share the repository a day before; we read the scary module "
        "together, write the missing test, and leave you with a list in the order of risk.",
        21, 4.91, 233, "America/Chicago", NIGHT_OWL, "Code review",
    ),
    Person(
        "Anneke de Vries", "f", "Software", "From idea to a plan that three developers can build",
        "I led product teams for parcel and train companies. We cut your idea until the first version fits into six weeks, "
        "and write it as five stories with a test for each.",
        14, 4.82, 127, "Europe/Amsterdam", OFFICE, "Product planning",
    ),
    Person(
        "Rajesh Subramaniam", "m", "Software", "Interviews for senior engineers: systems, and how to tell of them",
        "I have sat on the other side about six hundred times. We do one design problem as if it were real, then I tell you "
        "what I would have written into my notes, word for word.",
        17, 4.73, 311, "Asia/Kolkata", WEEKEND, "Mock interview",
    ),
)  # fmt: skip

GIVEN_NAMES_F: Final = tuple(
    "Ada Aisha Alma Amara Ana Anja Asha Astrid Beatriz Birgit Carmen Chiara Chloé Clara Dalia Daphne Dora Edith Elena Emma "
    "Esther Fatima Freya Gabriela Greta Hana Helen Ida Imani Ingrid Irina Iris Jasmin Julia Karin Keiko Lara Leila Lena Linh "
    "Livia Lotte Lucía Mai Malin Maria Marta Maya Mina Mira Nadia Naomi Nina Noor Olga Paula Petra Rana Rosa Ruth Sana Sara "
    "Selma Sofia Stella Tamar Tessa Uma Vera Yara Zoë".split()
)
GIVEN_NAMES_M: Final = tuple(
    "Aaron Adam Ahmed Alan Alejandro Amir Anders Andrei Anton Arjun Arthur Axel Bilal Boris Carlos Cem Chen Damian Daniel David "
    "Dmitri Edgar Elias Emil Enzo Erik Felix Finn Florian Gabriel Georg Hamid Hans Henrik Hugo Ibrahim Igor Ivan Jakob Jan Jonas "
    "José Julian Karim Kenji Kofi Lars Leo Liam Luca Magnus Malik Marco Mateo Max Mikael Mohamed Nils Oleg Omar Oscar Pablo Pedro "
    "Quentin Rafael Robin Ruben Sven Tariq Theo Tobias Viktor Yusuf".split()
)
FAMILY_NAMES: Final = tuple(
    "Abadi Acosta Ahn Andersson Bauer Becker Berg Bianchi Bouchard Brandt Castillo Chandra Chen Costa Dahl Dimitrov Diop Dubois "
    "Eriksen Farah Ferrari Fischer Fonseca García Gruber Haas Hansen Hashimoto Hoffmann Horváth Ibáñez Ivanova Jansen Jensen Johansson "
    "Kaya Keller Khan Kim Klein Kovač Kowalski Kumar Lang Larsen Lehmann Lopes Maier Mancini Martin Mbeki Mehta Mendes Mokoena Moreau "
    "Nguyen Nielsen Novák Nowak Okoye Olsen Osei Park Pereira Petrov Popescu Ramos Rossi Saito Santos Schmidt Sharma Silva Singh Sørensen "
    "Tanaka Torres Varga Vogel Wagner Walker Weber Wong Yamamoto Young Zhang Zimmermann".split()
)
HEADLINES: Final[Mapping[str, tuple[str, ...]]] = {
    "Career coaching": (
        "Finding the next step without leaving everything", "Applications that sound like you", "Coming back after a long break",
        "Your first ninety days in a new job", "Changing fields after forty",
    ),
    "Design": (
        "Interfaces that explain themselves", "Brand basics for small shops", "Design systems a small team can keep",
        "Slides people remember", "Icons and illustration, honestly reviewed",
    ),
    "Finance": (
        "Budgets that survive the third month", "Retirement sums in plain words", "Taxes for the self-employed, sorted",
        "Buying a flat: the whole calculation", "Investing slowly and sleeping well",
    ),
    "Fitness": (
        "Stronger in three short sessions a week", "Training after an injury", "First marathon, second thoughts",
        "Mobility for desk people", "Swimming technique from video",
    ),
    "Languages": (
        "English for meetings", "German grammar without tears", "Japanese for travellers", "Portuguese conversation",
        "Academic writing, sentence by sentence",
    ),
    "Law": (
        "Reading contracts before they bite", "Employment questions, calmly sorted", "Data protection for small teams",
        "Wills and how to begin one", "Letters that end a quarrel",
    ),
    "Marketing": (
        "Positioning in one sentence", "Social media in two hours a week", "Launch plans for small budgets",
        "Pricing pages that convert", "Talking to customers before building",
    ),
    "Nutrition": (
        "Eating well with little time", "Plant-based without the fuss", "Meals for long-distance sport",
        "Cooking basics for one", "Shopping lists that work",
    ),
    "Psychology": (
        "Habits that stick", "Calm before exams and stages", "Grief, and going on", "Attention in a noisy world",
        "Couples: listening again",
    ),
    "Software": (
        "Python services that stay up", "Databases for people who fear them", "Testing what matters",
        "From spreadsheet to small tool", "Front ends without a framework war",
    ),
}  # fmt: skip
BIO_SENTENCES: Final = (
    "I came to this work by a detour and have stayed for good.", "Before we meet I read whatever you send me.",
    "You leave with notes that fit on one page.", "I ask many questions and give few speeches.",
    "My first profession was quite another one, which helps more often than I expected.",
    "I like cases that others call complicated.", "We begin with what already works.",
    "I say so when I am not the right person for your question.", "An hour is enough for most things if we prepare it.",
    "I have worked with beginners and with people who know more than I do.", "We look at one real example of yours.",
    "I teach one day a week and learn as much from it as my students.", "I keep to the time and expect the same.",
    "You can write to me for a week after the session.", "I work in two languages and think in a third.",
    "What we talk about stays between us.", "I draw while I listen, and you get the drawing.",
    "Most people come twice: once to begin, once to check.", "I prefer small steps that are really taken.",
    "In winter I travel, in summer I write.", "I measure what can be measured and leave the rest in peace.",
    "My clients are small firms, students and the occasional orchestra.",
)  # fmt: skip
TIME_ZONES: Final = (
    "Europe/Berlin", "Europe/London", "Europe/Lisbon", "Europe/Paris", "Europe/Madrid", "Europe/Rome", "Europe/Warsaw",
    "Europe/Athens", "Europe/Helsinki", "Europe/Istanbul", "America/New_York", "America/Chicago", "America/Denver",
    "America/Los_Angeles", "America/St_Johns", "America/Mexico_City", "America/Bogota", "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires", "Africa/Cairo", "Africa/Lagos", "Africa/Nairobi", "Africa/Johannesburg", "Asia/Dubai",
    "Asia/Kolkata", "Asia/Kathmandu", "Asia/Singapore", "Asia/Tokyo", "Asia/Seoul", "Australia/Adelaide", "Australia/Sydney",
    "Pacific/Auckland",
)  # fmt: skip
WEEKLY_HOURS: Final[tuple[Hours, ...]] = (
    OFFICE, WITH_LUNCH, MORNINGS, AFTERNOONS, EVENINGS, WEEKEND, EVENINGS_AND_SATURDAY, THREE_DAYS, LATE, EVERY_DAY,
    SUNDAY_WEEK,
)  # fmt: skip
_CUSTOMER_NAMES: Final = (
    "Alex Morgan", "Bianca Roth", "Cedric Hall", "Dana Levin", "Eva Lund", "Frank Osei", "Gina Petri", "Hugo Berg",
    "Ines Wolf", "Jack Turner", "Kira Stone", "Leon Marsh", "Mona Said", "Nico Hart", "Opal Reed", "Paul Winter",
    "Quinn Avery", "Rita Moss", "Simon Falk", "Tara Quist", "Udo Brandt", "Vera Kline", "Wes Norton", "Yan Duval",
)  # fmt: skip
CUSTOMERS: Final = tuple(
    (name, f"{name.lower().replace(' ', '.')}@example.{('com', 'org', 'net')[number % 3]}")
    for number, name in enumerate(_CUSTOMER_NAMES)
)
NOTES: Final = (
    "First time, I would like to talk about where to begin.", "I send my documents a day before.",
    "A follow-up to our last session.", "Could we speak slowly, please? English is my third language.",
    "I have one urgent question and two that can wait.", "My colleague may join for the first half.",
    "I would like a second opinion.", "Please call me if the connection fails.", "I prefer to keep the camera off.",
    "I was told that you are good with beginners.", "There is a deadline at the end of the month.",
    "I have tried two things already and will tell you about both.", "It is about a decision I have to make this week.",
    "Recommended by a friend.", "I would like to record the session for myself, if you agree.", "Nothing special, just curious.",
)  # fmt: skip

# Reasons for cancelling, by customers and by experts, and for declining.
CUSTOMERS_REASONS: Final = ("", "", "", "I am ill, sorry.", "Something has come up at work.",
                            "I have found what I needed, thank you.", "My train does not run.")  # fmt: skip
EXPERTS_REASONS: Final = ("", "I am ill, and sorry that it is such short notice.", "I have to travel that day.")
DECLINING: Final = ("", "", "This is not my field, and a colleague knows more about it.", "I am at a fair that day.",
                    "Please book a first talk before this one.")  # fmt: skip
