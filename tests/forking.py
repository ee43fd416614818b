"""Processes of the product, forked from one that has already imported it: importing it takes two seconds each time.

A forked process is as separate as any: it has its own environment, working directory, signals, exit code and output.
`python -m tests.forking` is the process that forks; `ForkedProcess` talks to it by lines of JSON.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

_lock = Lock()


class ForkedProcess:
    """`python -m MODULE ARGUMENTS` with the interface of `subprocess.Popen`. Output is appended to files."""

    def __init__(self, *arguments: str, cwd: Path, env: dict[str, str], stdout: Path, stderr: Path) -> None:
        self.returncode: int | None = None
        self._arguments = arguments
        files = {"cwd": str(cwd), "stdout": str(stdout), "stderr": str(stderr)}
        self.pid: int = _ask({"arguments": arguments, "env": env, **files})

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs. It is negative after a signal."""
        if self.returncode is None:
            self.returncode = _ask({"pid": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the process to exit and return its exit code. Raises TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self._arguments, timeout or 0)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has exited."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


def _ask(request: dict[str, Any]) -> Any:
    with _lock:
        forking = _forking_process()
        assert forking.stdin
        assert forking.stdout
        forking.stdin.write(json.dumps(request) + "\n")
        forking.stdin.flush()
        return json.loads(forking.stdout.readline())


@cache
def _forking_process() -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.forking"]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


# --- the process that forks -------------------------------------------------------------------------------------


def serve_forks() -> dict[str, Any]:
    """Fork for each request, until standard input ends. Returns in each child, with its request."""
    # These signals are meant for the children or for pytest, which ends this process by closing its input.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # so that the children share these objects
    children = set[int]()
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        if "pid" in request:
            reply = exit_code(request["pid"])
            if reply is not None:
                children.discard(request["pid"])
        elif reply := os.fork():
            children.add(reply)
        else:
            return request
        print(json.dumps(reply), flush=True)
    for pid in children:  # pytest was killed, or a test has not stopped them
        os.kill(pid, signal.SIGTERM)
    sys.exit()


def exit_code(pid: int) -> int | None:
    """Return a child's exit code, or None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def become(request: dict[str, Any]) -> None:
    """Run the requested module as the main program."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    for descriptor, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    module, *arguments = request["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    import expert_booking.cli  # noqa: F401

    become(serve_forks())
