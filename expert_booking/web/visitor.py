"""Who is looking, as far as the browser tells: a time zone, and a secret that proves it is the same browser."""

import hashlib
import secrets
from collections.abc import Collection
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request

from expert_booking.domain import client_network
from expert_booking.schemas import ZONE_NAMES, Identity
from expert_booking.services import Services
from expert_booking.services.access import Renamed

# Browsers know some zones by names that the tz database has since replaced.
_RENAMED: Final = {
    "Africa/Asmera": "Africa/Asmara",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Catamarca": "America/Argentina/Catamarca",
    "America/Cordoba": "America/Argentina/Cordoba",
    "America/Coral_Harbour": "America/Atikokan",
    "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis",
    "America/Jujuy": "America/Argentina/Jujuy",
    "America/Louisville": "America/Kentucky/Louisville",
    "America/Mendoza": "America/Argentina/Mendoza",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Europe/Kiev": "Europe/Kyiv",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
}
# How many addresses a browser is remembered to have proven, the latest first.
_MOST_MARKS: Final = 5


def zone_of(request: Request) -> ZoneInfo | None:
    """The zone the visitor chose, or the browser's own; None on the very first visit."""
    for cookie in ("zone", "browser_zone"):
        zone = zone_named(request.cookies.get(cookie, "").replace("%2F", "/"))
        if zone is not None:
            return zone
    return None


def zone_named(name: object) -> ZoneInfo | None:
    """The zone of this name, if there is one; of an old name, the zone as it is called today."""
    if not isinstance(name, str) or name not in ZONE_NAMES:
        return None
    return ZoneInfo(_RENAMED.get(name, name))


def visitor_of(request: Request) -> bytes | None:
    """What the database knows this browser by: a hash of what its signed cookie holds. None without a cookie."""
    secret = request.session.get("visitor")
    return _hash(secret) if isinstance(secret, str) else None


def remembered_visitor(request: Request) -> bytes:
    """The same; a browser without a cookie is given one with this answer."""
    if visitor_of(request) is None:
        request.session["visitor"] = secrets.token_urlsafe(24)
    visitor = visitor_of(request)
    assert visitor is not None
    return visitor


def new_visitor(request: Request) -> tuple[str, Renamed | None]:
    """The secret of a new id for this browser, and what that changes for the database.

    A browser gets a new id when it signs in or out, so that nobody who has put a cookie there before shares it.
    """
    secret, before = secrets.token_urlsafe(24), visitor_of(request)
    return secret, Renamed(before, _hash(secret)) if before is not None else None


def marks_of(request: Request) -> Collection[str]:
    """The marks of the addresses that this browser has proven before; they outlast signing out."""
    marks = request.session.get("proven")
    return [mark for mark in marks if isinstance(mark, str)] if isinstance(marks, list) else []


def remember_mark(request: Request, mark: str) -> None:
    """This browser has proven one more address."""
    request.session["proven"] = [mark, *(one for one in marks_of(request) if one != mark)][:_MOST_MARKS]


def is_here(request: Request) -> bool:
    """Whether a browser on this very machine asks for this very machine: by no other name, and past no proxy."""
    return client_network.is_here(request.client.host if request.client else "", request.headers)


def proof_of(request: Request) -> str | None:
    """The secret by which this browser proves an address, if it has signed in. Whether it still does, services know."""
    secret = request.session.get("proof")
    return secret if isinstance(secret, str) else None


async def identity_of(services: Services, request: Request) -> Identity | None:
    """The address that this browser has proven, and what it may do; None when it has proven none, or not any more."""
    proof = proof_of(request)
    return await services.access.who(proof) if proof else None


def network_hash(request: Request, secret: str) -> bytes:
    """What the database knows this browser's network by."""
    return client_network.network_hash(request.client.host if request.client else "", secret)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
