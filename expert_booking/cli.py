"""The command `expert-booking`. Mistakes of its user end with one sentence on stderr and exit code 2."""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from expert_booking import __version__, app, doctor, logs, seed
from expert_booking.db import backup, schema
from expert_booking.db.clock import DatabaseClock
from expert_booking.db.embedded import EmbeddedRefusal
from expert_booking.db.engine import Database
from expert_booking.domain.email_schedule import Delivery
from expert_booking.domain.errors import Refusal
from expert_booking.domain.lifecycle import Actor
from expert_booking.domain.site import Site
from expert_booking.schemas import TOKEN_ROLES, AccessRequest, MessageView, TokenRequest, field_errors
from expert_booking.services import Services
from expert_booking.settings import Settings, SettingsError, read_settings

_WITHHELD: Final = {
    Delivery.OVER_LIMIT: "too many emails in 24 hours to an address that nobody has signed in with",
    Delivery.SILENCED: "the owner of the address did not book this",
    Delivery.REFUSED: "a mail server refuses the address",
}
_RUN_MIGRATE: Final = ", which is not the latest: run `expert-booking migrate`"
_NEEDS_NEWER: Final = ", which this version does not know: start the version that made the backup"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Raises SystemExit with the exit code unless it is 0."""
    options = _parser().parse_args(arguments)
    logs.set_up()
    signal.signal(signal.SIGTERM, _leave)
    try:
        if options.command is run_doctor:
            options.command(options)
            return
        settings = read_settings()
        logs.set_up(settings.log_format, settings.log_level)
        options.command(settings, options)
    except (SettingsError, EmbeddedRefusal, app.NotReady, Refusal) as refusal:
        _refuse(str(refusal))
    except (backup.BackupError, schema.SchemaTooNew) as refusal:
        _refuse(str(refusal))
    except app.DatabaseLost as lost:
        _say(f"expert-booking: {lost}")
        sys.exit(1)
    except ValidationError as error:
        _refuse("; ".join(f"{c.field}: {c.message}" if c.field != "body" else c.message for c in field_errors(error)))
    except KeyboardInterrupt:
        sys.exit(130)


def serve(settings: Settings, _: argparse.Namespace) -> None:
    """Start the product."""
    settings.check()
    with app.bind(settings.host, settings.port) as listener, app.database_at(settings, _say) as place:
        app.ensure_schema(settings, place)
        app.check_pooler(settings, place)
        if settings.embedded and settings.demo:
            asyncio.run(_with_database(place.url, _seed_if_empty))
        data_path = None if place.server is None else place.server.data_path
        sign_in = _demo_sign_in(settings, place)
        product = app.create_app(
            settings, place.url, data_path=data_path, on_ready=lambda: _say_ready(settings, place, sign_in)
        )
        try:
            with app.supervised(place):
                app.run(product, listener)
        except KeyboardInterrupt:
            _say("Stopped.")


def migrate(settings: Settings, _: argparse.Namespace) -> None:
    """Migrate the database to the latest schema."""
    with app.database_at(settings, _say) as place:
        app.migrate(settings, place)
        _say(f"The schema is at {schema.head()}.")


def seed_data(settings: Settings, options: argparse.Namespace) -> None:
    """Fill the database with sample data."""
    plan = seed.Plan(experts=options.experts, bookings=options.bookings, number=options.number, reset=options.reset)
    with app.database_at(settings, _say) as place:
        app.ensure_schema(settings, place)

        async def fill(database: Database) -> None:
            _say(await seed.load(database, plan))

        asyncio.run(_with_database(place.session_url, fill))


def token_create(settings: Settings, options: argparse.Namespace) -> None:
    """Create a token and print its secret, alone on the last line."""
    request = TokenRequest(name=options.name, role=options.role, expert=options.expert, days=options.days)

    async def create(services: Services) -> None:
        secret = await services.tokens.create(request)
        days = f"{request.days} day{'s' * (request.days != 1)}"
        _say(f"Token {request.name} created, valid for {days}. Copy it now: only its hash is stored.")
        print(secret, flush=True)

    _serve_once(settings, create)


def token_list(settings: Settings, _: argparse.Namespace) -> None:
    """Print all tokens, without their secrets."""

    async def show(services: Services) -> None:
        for token in await services.tokens.list_all():
            whose = f" of {token.expert_slug}" if token.expert_slug else ""
            used = f"last used {token.last_used_at:%Y-%m-%d}" if token.last_used_at else "never used"
            print(
                f"{token.name}\t{token.role}{whose}\tsince {token.created_at:%Y-%m-%d}\t"
                f"expires {token.expires_at:%Y-%m-%d}\t{used}\t{token.state(services.clock())}"
            )

    _serve_once(settings, show)


def token_revoke(settings: Settings, options: argparse.Namespace) -> None:
    """Revoke a token."""

    async def revoke(services: Services) -> None:
        await services.tokens.revoke(options.name)
        _say(f"Token {options.name} revoked.")

    _serve_once(settings, revoke)


def mail_list(settings: Settings, _: argparse.Namespace) -> None:
    """Print the emails that are waiting, were given up or are withheld, without addresses."""

    async def show(services: Services) -> None:
        for message in await services.outbox.waiting():
            booking = str(message.booking_id) if message.booking_id else "-"
            tries = f"{message.tries} {'try' if message.tries == 1 else 'tries'}"
            ended = "withheld" if message.withheld else "given up"
            state = f"{ended} {message.failed_at:%Y-%m-%d %H:%M}Z" if message.failed_at else "waiting"
            print(
                f"{message.id}\t{message.kind}\tto the {message.audience}\t{booking}\t{tries}\t"
                f"since {message.created_at:%Y-%m-%d %H:%M}Z\t{state}\t{_why_unsent(message)}"
            )

    _serve_once(settings, show)


def _why_unsent(message: MessageView) -> str:
    why = _WITHHELD.get(message.withheld, "") if message.withheld else ""
    return ": ".join(filter(None, [why, message.error]))


def mail_resend(settings: Settings, options: argparse.Namespace) -> None:
    """Send emails again that were given up or are withheld."""

    async def resend(services: Services) -> None:
        number = await services.outbox.resend(None if options.all else options.ids)
        _say(f"{number} {'email' if number == 1 else 'emails'} queued again. A running server sends them.")

    _serve_once(settings, resend)


def sign_in_link(settings: Settings, options: argparse.Namespace) -> None:
    """Create a sign-in link for an email address and print it, alone on the last line."""
    email = AccessRequest(email=options.email).email
    site = settings.site

    async def create(services: Services) -> None:
        link = await services.access.link_for(email)
        minutes = services.access.rules.link_minutes
        _say(f"For {email}, {await _known_as(services, email)}. It works once, within {minutes:g} minutes.")
        print(link, flush=True)

    _serve_once(settings, create, site)


def customer_export(settings: Settings, options: argparse.Namespace) -> None:
    """Print everything that is stored about an email address, as JSON."""
    email = AccessRequest(email=options.email).email

    async def export(services: Services) -> None:
        print((await services.customers.data(email)).model_dump_json(by_alias=True, indent=2), flush=True)

    _serve_once(settings, export, settings.site)


def customer_erase(settings: Settings, options: argparse.Namespace) -> None:
    """Erase the data of the customer with this email address."""
    email = AccessRequest(email=options.email).email

    async def erase(services: Services) -> None:
        done = await services.customers.erase(email, by=Actor.ADMIN, keep_upcoming=options.keep_upcoming)
        over = "it is" if done.kept == 1 else "they are"
        kept = f" Kept until {over} over: {_bookings(done.kept)}." if done.kept else ""
        _say(f"Erased {email}: {_bookings(done.erased)}, {done.cancelled} cancelled.{kept}")

    _serve_once(settings, erase, settings.site)


def _bookings(number: int) -> str:
    return f"{number} booking{'s' * (number != 1)}"


def back_up(settings: Settings, options: argparse.Namespace) -> None:
    """Write the whole database to a file."""
    with app.database_at(settings, _say) as place:
        app.schema_level(settings, place)
        backup.save(place.session_url, options.file)
    _say(f"Backup written to {options.file}. It contains personal data: keep it safe.")
    _say(_about_the_key(settings))


def restore(settings: Settings, options: argparse.Namespace) -> None:
    """Restore a backup into an empty database."""
    with app.database_at(settings, _say) as place:
        app.schema_level(settings, place)
        backup.restore(place.session_url, options.file)
        revision, head = app.schema_level(settings, place)
    advice = "" if revision == head else _NEEDS_NEWER if schema.is_newer(revision) else _RUN_MIGRATE
    _say(f"Backup restored. Its schema is at {revision}{advice}.")
    _say(_about_the_key(settings))


def _about_the_key(settings: Settings) -> str:
    key = settings.data_dir / "secret.key" if settings.secret_key is None else "EXPERT_BOOKING_SECRET_KEY"
    return f"Not included: {key}. Without it, existing links and tokens stop working."


def run_doctor(options: argparse.Namespace) -> None:
    """Print the findings of the doctor, invalid settings among them. Exits with 1 if a check fails."""

    @contextmanager
    def open_database(settings: Settings) -> Iterator[str]:
        with app.database_at(settings, _say) as place:
            yield place.session_url

    findings = []
    for finding in doctor.run_checks(open_database):
        findings.append(finding)
        if not options.json:
            print(f"{finding.state:<5} {finding.check}: {finding.says}", flush=True)
            if finding.advice:
                print(f"      → {finding.advice}", flush=True)
    failed = any(finding.state is doctor.State.FAIL for finding in findings)
    if options.json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}, ensure_ascii=False))
    sys.exit(1 if failed else 0)


async def _known_as(services: Services, email: str) -> str:
    identity = await services.access.identity_of(email)
    known = ["an admin's address"] if identity.admin else []
    known += [f"the address of the expert {expert.name} ({expert.slug})" for expert in identity.experts]
    if await services.bookings.for_customer(identity.customer_key):
        known.append("a customer's address")
    return " and ".join(known) or "an address not seen before"


def _serve_once(
    settings: Settings, use: Callable[[Services], Coroutine[Any, Any, None]], site: Site | None = None
) -> None:
    with app.database_at(settings, _say) as place:
        app.ensure_schema(settings, place)

        async def use_services(database: Database) -> None:
            clock = DatabaseClock(database)
            await clock.measure()
            await use(Services(database, clock=clock, site=site or Site()))

        asyncio.run(_with_database(place.session_url, use_services))


async def _with_database(url: str, use: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
    database = Database(url)
    try:
        await use(database)
    finally:
        await database.close()


async def _seed_if_empty(database: Database) -> None:
    if not await Services(database).experts.any_exist():
        _say("Loading demo data …")
        await seed.load(database, seed.Plan())


def _demo_sign_in(settings: Settings, place: app.DatabaseLocation) -> str:
    """How to sign in as an expert of the demo, with a link that works once. Empty without the demo or a terminal."""
    if not settings.mailbox or settings.log_format != "text":
        return ""
    sentences = []

    async def create(database: Database) -> None:
        access = Services(database, site=settings.site).access
        for expert in (await access.identity_of(seed.EXPERT_EMAIL)).experts[:1]:
            link = await access.link_for(seed.EXPERT_EMAIL, "/console")
            # No full stop, so that terminals and people copy the whole address.
            sentences.append(
                f"Sign in as the expert {expert.name} (once, within {access.rules.link_minutes:g} minutes): {link}"
            )

    asyncio.run(_with_database(place.session_url, create))
    return "".join(sentences)


def _say_ready(settings: Settings, place: app.DatabaseLocation, sign_in: str) -> None:
    _say(f"Expert Booking is at {settings.public_url}")
    if sign_in:
        _say(sign_in)
    _say(app.email_destination(settings))
    _say(f"Data is in {place.where}. Press Ctrl-C to stop.")


def _say(sentence: str) -> None:
    logs.say(sentence)


def _refuse(sentence: str) -> NoReturn:
    _say(f"expert-booking: {sentence}")
    sys.exit(2)


def _leave(*_: object) -> NoReturn:
    sys.exit(0)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print one sentence instead of the usage."""
        _refuse(f"{message}; see `{self.prog} --help`.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="expert-booking", description="Real-time expert session booking.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(command=serve)
    commands = parser.add_subparsers(title="commands", metavar="command", parser_class=_Parser)
    commands.add_parser("serve", help="start the server (default)").set_defaults(command=serve)
    commands.add_parser("migrate", help="migrate the database to the latest schema").set_defaults(command=migrate)
    _add_seed(commands.add_parser("seed", help="fill the database with sample data"))
    _add_token(commands.add_parser("token", help="manage API tokens"))
    _add_mail(commands.add_parser("mail", help="list unsent emails, or send them again"))
    for name, command, what in (
        ("backup", back_up, "write the whole database to a file"),
        ("restore", restore, "restore a backup into an empty database"),
    ):
        with_file = commands.add_parser(name, help=what)
        with_file.add_argument("file", metavar="FILE", type=Path)
        with_file.set_defaults(command=command)
    check = commands.add_parser("doctor", help="check the installation (read-only)")
    check.add_argument("--json", action="store_true", help="print one JSON object")
    check.set_defaults(command=run_doctor)
    _add_customer(commands.add_parser("customer", help="export or erase the data of a customer"))
    link = commands.add_parser("sign-in-link", help="print a sign-in link for an email address")
    link.add_argument("email")
    link.set_defaults(command=sign_in_link)
    return parser


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--experts", type=_count, default=seed.Plan.experts, help="how many experts (%(default)s)")
    parser.add_argument("--bookings", type=_count, default=seed.Plan.bookings, help="how many bookings (%(default)s)")
    parser.add_argument("--number", type=int, default=seed.Plan.number, help="random seed (%(default)s)")
    parser.add_argument("--reset", action="store_true", help="first delete all experts and bookings")
    parser.set_defaults(command=seed_data)


def _add_token(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="action", required=True, parser_class=_Parser)
    create = actions.add_parser("create", help="create a token and print its secret on the last line")
    create.add_argument("name")
    create.add_argument("--role", choices=[role.value for role in TOKEN_ROLES], required=True)
    create.add_argument("--expert", metavar="SLUG", help="the expert, for a token with the role expert")
    create.add_argument("--days", type=_count, default=365, help="days until it expires, up to 3650 (%(default)s)")
    create.set_defaults(command=token_create)
    listed = actions.add_parser("list", help="list all tokens with expiry and last use")
    listed.set_defaults(command=token_list)
    revoke = actions.add_parser("revoke", help="revoke a token")
    revoke.add_argument("name")
    revoke.set_defaults(command=token_revoke)


def _add_customer(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="action", required=True, parser_class=_Parser)
    export = actions.add_parser("export", help="print everything that is stored about an email address, as JSON")
    export.add_argument("email")
    export.set_defaults(command=customer_export)
    erase = actions.add_parser("erase", help="erase it; bookings keep their time and history without the person")
    erase.add_argument("email")
    erase.add_argument(
        "--keep-upcoming", action="store_true", help="keep upcoming bookings until they are over instead of cancelling"
    )
    erase.set_defaults(command=customer_erase)


def _add_mail(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", metavar="action", required=True, parser_class=_Parser)
    listed = actions.add_parser("list", help="list emails that are waiting, were given up or are withheld")
    listed.set_defaults(command=mail_list)
    resend = actions.add_parser("resend", help="send emails again that were given up or are withheld")
    which = resend.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", metavar="ID", type=_count, nargs="*", default=[], help="id from `mail list`")
    which.add_argument("--all", action="store_true", help="all emails that were given up")
    resend.set_defaults(command=mail_resend)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("not a whole number")
    return int(text)
