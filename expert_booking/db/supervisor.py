"""Starts the embedded PostgreSQL again when it has stopped, for example because the kernel killed it for its memory."""

import logging
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from expert_booking.db.embedded import EmbeddedPostgres, EmbeddedRefusal

log = logging.getLogger(__name__)

# Seconds between two looks, before each attempt to start the server again, and after which the attempts count anew.
_LOOK: Final = 1.0
_PAUSES: Final = (0.5, 1.0, 3.0, 6.0)
_STABLE: Final = 60.0
# Seconds for which the end of the process waits for an attempt that is being made.
_LAST_ATTEMPT: Final = 5.0


class Supervisor:
    """Looks every second whether the server listens, in a thread of its own, and starts it again where it does not.

    Several processes may do so for one server: the start lock lets one of them start it, and the others find it there.
    """

    def __init__(self, server: EmbeddedPostgres, on_failure: Callable[[EmbeddedRefusal], None]) -> None:
        """`on_failure` is called once, in that thread, after the last attempt."""
        self._server = server
        self._on_failure = on_failure
        self._over = threading.Event()
        # A process that ends does not wait for it: PostgreSQL's recovery may take minutes.
        self._thread = threading.Thread(target=self._run, name="database supervisor", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join(_LAST_ATTEMPT)

    def _run(self) -> None:
        attempts, last = 0, -inf
        refusal = EmbeddedRefusal("The database stops again and again.")
        while not self._over.wait(_LOOK):
            if self._server.is_listening():
                continue
            if monotonic() - last > _STABLE:
                attempts = 0
            if attempts == len(_PAUSES):
                self._on_failure(refusal)
                return
            log.error("PostgreSQL has stopped: starting it again in %.1f s", _PAUSES[attempts])
            if self._over.wait(_PAUSES[attempts]):
                return
            attempts += 1
            try:
                started = self._server.start_again()
                log.warning("PostgreSQL runs again%s", "" if started else ": another process has started it")
            except EmbeddedRefusal as error:
                refusal = error
                log.error("PostgreSQL could not be started again: %s", error)
            last = monotonic()
