"""What of Python does not work in a component, replaced by an exception that says what to call instead.

Without this each of them ends the run as a bare trap. Called once, when the component is built, after everything is imported.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from .contract import job
from .errors import Unsupported
from .job import Lines

_FILES = "there are no files in the sandbox: read them while the module is imported (`resource`), or fetch them"
_CLOCK = "there is no clock in the sandbox: `target.source_date_epoch` is the job's time"
_THREADS = "there are no threads in the sandbox: `fetch.get_all` fetches in parallel"
_SOCKETS = "there are no sockets in the sandbox: use `bootsplice_sdk.fetch`"
_RANDOM = "there is no randomness in the sandbox: the same inputs give the same bytes; derive from `hashlib.sha256(instance.id.encode())`"
_PROCESSES = "there are no processes in the sandbox: `sink.run` runs a script in the guest"

INSTEAD = {
    "builtins": {"open": _FILES},
    "io": {"open": _FILES, "open_code": _FILES},
    "os": {
        "open": _FILES, "listdir": _FILES, "stat": _FILES, "scandir": _FILES, "mkdir": _FILES, "unlink": _FILES,
        "urandom": _RANDOM, "system": _PROCESSES, "popen": _PROCESSES,
    },
    "time": {
        "time": _CLOCK, "time_ns": _CLOCK, "monotonic": _CLOCK, "monotonic_ns": _CLOCK, "perf_counter": _CLOCK,
        "sleep": _CLOCK, "localtime": _CLOCK,
    },
    "threading": {"Thread": _THREADS},
    "socket": {"socket": _SOCKETS, "create_connection": _SOCKETS, "getaddrinfo": _SOCKETS},
    "subprocess": {"Popen": _PROCESSES, "run": _PROCESSES},
    "random": {"SystemRandom": _RANDOM},
    "uuid": {"uuid1": _RANDOM, "uuid4": _RANDOM},
}
"""Module, name, and what the exception says. `datetime.now` and others in C cannot be replaced and trap."""


class Closed(Unsupported, OSError):
    """Called what only exists outside. An `OSError` too: libraries that can do without go on without."""


def close() -> None:
    """Makes this interpreter a sandbox's."""
    sys.stdout, sys.stderr = Lines(job.Level.INFO), Lines(job.Level.WARN)
    for module, names in INSTEAD.items():
        if module in sys.modules or module == "builtins":
            place = builtins if module == "builtins" else importlib.import_module(module)
            for name, reason in names.items():
                if hasattr(place, name):
                    setattr(place, name, _refusal(f"{module}.{name}", reason))


def _refusal(name: str, reason: str) -> Callable[..., NoReturn]:
    def refuse(*_arguments: Any, **_named: Any) -> NoReturn:
        raise Closed(f"{name}: {reason}")

    return refuse
