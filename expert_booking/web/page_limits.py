"""Limits how many pages the process keeps to which no browser has connected, and deletes old ones in small steps.

A page needs about 70 kB. NiceGUI creates one for each HTTP response with a page. It is deleted some seconds after its
browser has disconnected, or a minute after it was created if no browser connected.
"""

import asyncio
import logging
from functools import lru_cache, partial
from itertools import islice
from time import monotonic, time
from typing import Final

from nicegui import Client

from expert_booking.domain.client_network import network_of
from expert_booking.http_methods import AFTER_HEAD

log = logging.getLogger(__name__)

# Unconnected pages of all networks together, all from the last minute.
MAX_UNCONNECTED: Final = 2000
# Seconds that deleting old pages may block the event loop.
_MAX_BLOCKING: Final = 0.005
# Pages still being built are not deleted. How many pages are examined to find one that is built.
_MAX_EXAMINED: Final = 20

# Parsing an address costs more than all the rest of counting a page.
_network = lru_cache(maxsize=4096)(network_of)


class Pages(dict[str, Client]):
    """Replaces NiceGUI's `Client.instances`, all pages by id. Also keeps the unconnected ones, oldest first."""

    def __init__(self, per_network: int, limit: int = MAX_UNCONNECTED) -> None:
        super().__init__()
        self.per_network = per_network
        self._limit = limit
        self._unconnected: dict[str, Client] = {}
        self._of_network: dict[bytes, dict[str, Client]] = {}

    @property
    def unconnected(self) -> int:
        """How many pages no browser has connected to."""
        return len(self._unconnected)

    def __setitem__(self, page_id: str, page: Client) -> None:
        super().__setitem__(page_id, page)
        if page._request is not None and AFTER_HEAD in page._request.scope:  # no browser will connect to this page
            page._request.scope[AFTER_HEAD].append(partial(_delete, page))
        siblings = self._of_network.setdefault(_network_of(page), {})
        self._unconnected[page_id] = siblings[page_id] = page
        if len(siblings) > self.per_network:
            _delete_oldest(siblings, page)
        if len(self._unconnected) > self._limit:
            _delete_oldest(self._unconnected, page)

    def __delitem__(self, page_id: str) -> None:
        self.connected(self[page_id])
        super().__delitem__(page_id)

    def connected(self, page: Client) -> None:
        """Stop counting a page, because a browser has connected or it is deleted."""
        if self._unconnected.pop(page.id, None) is not None:
            network = _network_of(page)
            siblings = self._of_network[network]
            del siblings[page.id]
            if not siblings:
                del self._of_network[network]


def limit_pages(per_network: int) -> Pages | None:
    """Limit the unconnected pages of this process. Returns None if NiceGUI stores its pages in an unknown way."""
    if isinstance(Client.instances, Pages):
        Client.instances.per_network = per_network
        return Client.instances
    if type(Client.instances) is not dict or not callable(getattr(Client, "prune_instances", None)):
        log.error("this version of NiceGUI stores its pages differently: unconnected pages are not limited")
        return None
    pages = Pages(per_network)
    for page_id, page in Client.instances.items():
        pages[page_id] = page
    Client.instances = pages
    Client.prune_instances = staticmethod(prune)  # type: ignore[method-assign, assignment]
    return pages


async def prune(*, client_age_threshold: float = 60.0) -> None:
    """Delete the pages that `Client.prune_instances` would, but never for more than 5 ms at a time."""
    until = monotonic() + _MAX_BLOCKING
    for page in _stale(client_age_threshold):
        if _is_unused(page):  # it may have been connected in between
            _delete(page)
        if monotonic() > until:
            await asyncio.sleep(0)
            until = monotonic() + _MAX_BLOCKING


def _stale(age: float) -> list[Client]:
    before = time() - age
    return [page for page in Client.instances.values() if page.created <= before and _is_unused(page)]


def _is_unused(page: Client) -> bool:
    return not page.has_socket_connection and not page._delete_tasks


def _delete_oldest(pages: dict[str, Client], newest: Client) -> None:
    for page in list(islice(pages.values(), _MAX_EXAMINED)):
        if page is not newest and page._response_built:
            _delete(page)
            return


def _delete(page: Client) -> None:
    if page.id not in Client.instances:
        return
    try:
        page.delete()
    except Exception:
        log.exception("could not delete a page")


def _network_of(page: Client) -> bytes:
    request = page._request
    return _network(request.client.host if request is not None and request.client is not None else "")
