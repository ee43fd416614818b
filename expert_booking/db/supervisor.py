"""Restart the embedded PostgreSQL if it stops, for example because the kernel's OOM killer ended it."""

import logging
import threading
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from expert_booking.db.embedded import EmbeddedPostgres, EmbeddedRefusal

log = logging.getLogger(__name__)

# Seconds between two checks.
_CHECK_INTERVAL: Final = 1.0
# Seconds to wait before each attempt to restart the server. The count starts over if the last attempt was more than
# `_STABLE_AFTER` seconds ago.
_PAUSES: Final = (0.5, 1.0, 3.0, 6.0)
_STABLE_AFTER: Final = 60.0
# Seconds that `stop` waits for an attempt under way. PostgreSQL's recovery may take minutes.
_STOP_TIMEOUT: Final = 5.0


class Supervisor:
    """Checks every second, in its own thread, whether the server is listening, and restarts it if not.

    Several processes may supervise the same server. The start lock ensures that only one of them starts it.
    """

    def __init__(self, server: EmbeddedPostgres, on_failure: Callable[[EmbeddedRefusal], None]) -> None:
        """`on_failure` is called in that thread after the last attempt has failed."""
        self._server = server
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="database supervisor", daemon=True)

    def start(self) -> None:
        """Start checking."""
        self._thread.start()

    def stop(self) -> None:
        """Stop checking."""
        self._stopping.set()
        self._thread.join(_STOP_TIMEOUT)

    def _run(self) -> None:
        attempts, last = 0, -inf
        refusal = EmbeddedRefusal("The embedded PostgreSQL keeps stopping.")
        while not self._stopping.wait(_CHECK_INTERVAL):
            if self._server.is_listening():
                continue
            if monotonic() - last > _STABLE_AFTER:
                attempts = 0
            if attempts == len(_PAUSES):
                self._on_failure(refusal)
                return
            log.error("PostgreSQL has stopped, restarting it in %.1f s", _PAUSES[attempts])
            if self._stopping.wait(_PAUSES[attempts]):
                return
            attempts += 1
            try:
                started = self._server.start_again()
                log.warning("PostgreSQL is running again%s", "" if started else ": another process started it")
            except EmbeddedRefusal as error:
                refusal = error
                log.error("could not restart PostgreSQL: %s", error)
            last = monotonic()
