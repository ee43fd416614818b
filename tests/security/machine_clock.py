"""A wrong clock for a whole process, by a preloaded library that shifts the time of day."""

import subprocess
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    const char *path = getenv("TEST_CLOCK_SHIFT_FILE");
    if (!failed && id == CLOCK_REALTIME && path) {
        long seconds = 0;
        FILE *file = fopen(path, "r");
        if (file) {
            if (fscanf(file, "%ld", &seconds) == 1) now->tv_sec += seconds;
            fclose(file);
        }
    }
    return failed;
}
"""


class MachineClock:
    """The clock of all processes started with `environment`. `shift` changes it while they run."""

    def __init__(self, folder: Path) -> None:
        """Compile the library. Needs a C compiler."""
        source, library = folder / "clock.c", folder / "clock.so"
        self._shift = folder / "shift"
        source.write_text(SOURCE)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
        self.environment = {"LD_PRELOAD": str(library), "TEST_CLOCK_SHIFT_FILE": str(self._shift)}
        self.shift(0)

    def shift(self, seconds: int) -> None:
        """Set the clock so many seconds ahead of the real time."""
        new = self._shift.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._shift)
