"""Open files of this process, sockets included, and the limit on them."""

import logging
import os
import resource
from contextlib import suppress
from typing import Final

log = logging.getLogger(__name__)

# Warn from this share of the limit.
NEAR_LIMIT: Final = 0.8
ADVICE: Final = "Raise the limit (LimitNOFILE= in the systemd unit, or `ulimit -n`), or run another process."
# macOS allows no more than this, whatever the hard limit is.
_MACOS_LIMIT: Final = 10_240
# For the database, the log, libraries and Python's own files.
_RESERVED: Final = 128


def raise_limit() -> None:
    """Raise this process's soft limit on open files to the hard limit, or as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (hard, _MACOS_LIMIT):
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
            return


def limit() -> int:
    """How many files this process may have open."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def highest_limit() -> int:
    """How many files this process could have open after `raise_limit`."""
    return _number(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _number(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit


def count() -> int:
    """How many files this process has open."""
    try:
        return len(os.listdir("/dev/fd")) - 1  # noqa: PTH208 - a quarter of iterdir()'s time
    except OSError:  # no file descriptor is left to list them with
        return limit()


def room_for_connections() -> int:
    """How many connections fit into the limit. Each may need a second file, such as an asset being sent."""
    return max((limit() - _RESERVED) // 2, 1)


def warn_near_limit() -> bool:
    """Log a warning if the process is close to its limit. Returns whether it did."""
    opened, most = count(), limit()
    if opened < NEAR_LIMIT * most:
        return False
    log.warning("%d of %d files are open. %s", opened, most, ADVICE)
    return True
