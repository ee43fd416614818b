"""What is known of a visitor from cookies: the time zone, the browser's secret, the proof of an email address."""

import hashlib
import secrets
from collections.abc import Collection
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request

from expert_booking.domain import client_network, time_zones
from expert_booking.schemas import Identity
from expert_booking.services import Services
from expert_booking.services.access import Renamed
from expert_booking.web.cookies import BROWSER_ZONE, ZONE

# In the session of a browser that has signed in as an expert: its pages link to the console. It grants nothing.
HOST_MARK: Final = "host"
# How many proven addresses a browser remembers, the latest first.
_MAX_MARKS: Final = 5


def zone_of(request: Request) -> ZoneInfo | None:
    """The zone the visitor chose, or the browser's; None on the first visit."""
    for cookie in (ZONE, BROWSER_ZONE):
        zone = zone_named(request.cookies.get(cookie, "").replace("%2F", "/"))
        if zone is not None:
            return zone
    return None


def zone_named(name: object) -> ZoneInfo | None:
    """The zone with this name, or with the current name if this is an old one; None for an unknown name."""
    if not isinstance(name, str) or name not in time_zones.ZONE_NAMES:
        return None
    return ZoneInfo(time_zones.current_name(name))


def visitor_of(request: Request) -> bytes | None:
    """The hash by which the database identifies this browser, from its signed cookie. None without a cookie."""
    secret = request.session.get("visitor")
    return _hash(secret) if isinstance(secret, str) else None


def remembered_visitor(request: Request) -> bytes:
    """The same, but a browser without a cookie gets one with this response."""
    if visitor_of(request) is None:
        request.session["visitor"] = secrets.token_urlsafe(24)
    visitor = visitor_of(request)
    assert visitor is not None
    return visitor


def new_visitor(request: Request) -> tuple[str, Renamed | None]:
    """A new secret for this browser's cookie, and the renaming to make in the database, if it had one before.

    A browser gets a new secret when it signs in or out, so that an attacker who planted a cookie does not share it.
    """
    secret, before = secrets.token_urlsafe(24), visitor_of(request)
    return secret, Renamed(before, _hash(secret)) if before is not None else None


def marks_of(request: Request) -> Collection[str]:
    """The marks of the addresses that this browser has proven before. They survive signing out."""
    marks = request.session.get("proven")
    return [mark for mark in marks if isinstance(mark, str)] if isinstance(marks, list) else []


def remember_mark(request: Request, mark: str) -> None:
    """Remember that this browser has proven an address."""
    request.session["proven"] = [mark, *(one for one in marks_of(request) if one != mark)][:_MAX_MARKS]


def is_host(request: Request) -> bool:
    """Whether pages for this browser link to the console, because it has signed in as an expert."""
    session = request.scope.get("session")
    return isinstance(session, dict) and session.get(HOST_MARK) is True


def is_here(request: Request) -> bool:
    """Whether the request comes from a browser on this machine, by a local host name and without a proxy."""
    return client_network.is_here(request.client.host if request.client else "", request.headers)


def proof_of(request: Request) -> str | None:
    """The proof in this browser's cookie, if it has signed in. Services check whether it is still valid."""
    secret = request.session.get("proof")
    return secret if isinstance(secret, str) else None


async def identity_of(services: Services, request: Request) -> Identity | None:
    """The proven address of this browser and its permissions; None without a valid proof."""
    proof = proof_of(request)
    return await services.access.identity_of_proof(proof) if proof else None


def network_hash(request: Request, secret: str) -> bytes:
    """The hash by which the database identifies this browser's network."""
    return client_network.network_hash(request.client.host if request.client else "", secret)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
