"""Limits how many pages the process keeps that no browser has connected to, and deletes old ones in small steps.

A page is some 70 kB. It is made for every answer to a request for a page, and deleted when its browser has been gone
for some seconds, or a minute after it was made if nobody ever connected to it.
"""

import asyncio
import logging
from itertools import islice
from time import monotonic, time
from typing import Final

from nicegui import Client

from expert_booking.domain.client_network import network_of

log = logging.getLogger(__name__)

# Pages of all networks that were never connected. They are pages of the last minute.
MOST_UNCONNECTED: Final = 2000
# How long deleting old pages may take before everything else has a turn, in seconds.
_SLICE: Final = 0.005
# Pages that are still being built are not deleted. How many are looked at to find one that is built.
_LOOKED_AT: Final = 20


class Pages(dict[str, Client]):
    """NiceGUI's `Client.instances`: all pages by id. Knows which were never connected, oldest first."""

    def __init__(self, per_network: int, most: int = MOST_UNCONNECTED) -> None:
        super().__init__()
        self.per_network = per_network
        self._most = most
        self._unconnected: dict[str, Client] = {}
        self._of_network: dict[bytes, dict[str, Client]] = {}

    @property
    def unconnected(self) -> int:
        """How many pages were never connected."""
        return len(self._unconnected)

    def __setitem__(self, page_id: str, page: Client) -> None:
        super().__setitem__(page_id, page)
        siblings = self._of_network.setdefault(_network_of(page), {})
        self._unconnected[page_id] = siblings[page_id] = page
        if len(siblings) > self.per_network:
            _delete_oldest(siblings, page)
        if len(self._unconnected) > self._most:
            _delete_oldest(self._unconnected, page)

    def __delitem__(self, page_id: str) -> None:
        self.connected(self[page_id])
        super().__delitem__(page_id)

    def connected(self, page: Client) -> None:
        """A browser has connected to this page, or it is gone: it no longer counts."""
        if self._unconnected.pop(page.id, None) is not None:
            network = _network_of(page)
            siblings = self._of_network[network]
            del siblings[page.id]
            if not siblings:
                del self._of_network[network]


def limit_pages(per_network: int) -> Pages | None:
    """Limit the unconnected pages of this process; None where NiceGUI keeps its pages in another way than is known."""
    if isinstance(Client.instances, Pages):
        Client.instances.per_network = per_network
        return Client.instances
    if type(Client.instances) is not dict or not callable(getattr(Client, "prune_instances", None)):
        log.error("this version of NiceGUI keeps its pages in another way: unconnected pages are not limited")
        return None
    pages = Pages(per_network)
    for page_id, page in Client.instances.items():
        pages[page_id] = page
    Client.instances = pages
    Client.prune_instances = staticmethod(prune)  # type: ignore[method-assign, assignment]
    return pages


async def prune(*, client_age_threshold: float = 60.0) -> None:
    """Delete the pages that `Client.prune_instances` would, but never for more than 5 ms at a time."""
    until = monotonic() + _SLICE
    for page in _stale(client_age_threshold):
        if page.id in Client.instances and _is_left(page):  # nobody has connected meanwhile
            _delete(page)
        if monotonic() > until:
            await asyncio.sleep(0)
            until = monotonic() + _SLICE


def _stale(age: float) -> list[Client]:
    before = time() - age
    return [page for page in Client.instances.values() if page.created <= before and _is_left(page)]


def _is_left(page: Client) -> bool:
    return not page.has_socket_connection and not page._delete_tasks


def _delete_oldest(pages: dict[str, Client], newest: Client) -> None:
    for page in list(islice(pages.values(), _LOOKED_AT)):
        if page is not newest and page._response_built:
            _delete(page)
            return


def _delete(page: Client) -> None:
    try:
        page.delete()
    except Exception:
        log.exception("a page could not be deleted")


def _network_of(page: Client) -> bytes:
    request = page._request
    return network_of(request.client.host if request is not None and request.client is not None else "")
