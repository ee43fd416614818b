"""Starts the embedded PostgreSQL again when it has stopped, for example because the kernel killed it for its memory."""

import logging
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from expert_booking.db.embedded import EmbeddedPostgres, EmbeddedRefusal

log = logging.getLogger(__name__)

# Seconds between two checks.
_CHECK: Final = 1.0
# Seconds before each attempt to start the server again. Attempts are counted from the first again when the last one
# was `_STABLE` seconds ago.
_PAUSES: Final = (0.5, 1.0, 3.0, 6.0)
_STABLE: Final = 60.0
# How long `stop` waits for an attempt that is under way, in seconds. PostgreSQL's recovery may take minutes.
_LAST_ATTEMPT: Final = 5.0


class Supervisor:
    """Checks every second, in its own thread, whether the server listens, and starts it again if it does not.

    Several processes may supervise the same server: the start lock makes sure that one of them starts it.
    """

    def __init__(self, server: EmbeddedPostgres, on_failure: Callable[[EmbeddedRefusal], None]) -> None:
        """`on_failure` is called in that thread when the last attempt did not help."""
        self._server = server
        self._on_failure = on_failure
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database supervisor", daemon=True)

    def start(self) -> None:
        """Start to check."""
        self._thread.start()

    def stop(self) -> None:
        """Stop checking."""
        self._over.set()
        self._thread.join(_LAST_ATTEMPT)

    def _run(self) -> None:
        attempts, last = 0, -inf
        refusal = EmbeddedRefusal("The embedded PostgreSQL keeps stopping.")
        while not self._over.wait(_CHECK):
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
