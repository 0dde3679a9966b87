"""Write bootsplice generators in Python: a class with four methods becomes a WebAssembly component.

    @dataclass
    class Config:
        greeting: str

    class Motd(Generator[Config]):
        def describe(self) -> Descriptor: …
        def resolve(self, target, config, previous) -> LockFile: …
        def generate(self, target, config, locked, instance, sink): sink.file("/etc/motd", config.greeting)

`python -m bootsplice_sdk build` makes the component; `bootsplice_sdk.testing` is a host for unit tests.
"""

from pathlib import Path

from . import fetch
from .blob import Blob, blob
from .errors import (
    Cancelled, ConfigError, Denied, Diagnostic, Error, Fault, Integrity, NotFound, QuotaExceeded, Unsatisfiable, Unsupported,
    Untrusted, Upstream,
)
from .fetch import Pin, Source
from .generator import Descriptor, Generator, Instance, Locked, LockFile, Summary, Target
from .job import is_cancelled, log, progress
from .pointer import pointer
from .sink import Sink, Writer, max_output

__all__ = [
    "Blob", "Cancelled", "ConfigError", "Denied", "Descriptor", "Diagnostic", "Error", "Fault", "Generator", "Instance", "Integrity",
    "LockFile", "Locked", "NotFound", "Pin", "QuotaExceeded", "Sink", "Source", "Summary", "Target", "Unsatisfiable", "Unsupported",
    "Untrusted", "Upstream", "Writer", "blob", "fetch", "is_cancelled", "log", "max_output", "pin", "pointer", "progress", "resource",
]

pin = fetch.pin


def resource(module_file: str, name: str) -> str:
    """The text of a file beside a module: `SCHEMA = resource(__file__, "schema.json")`. Only while the module is imported, which is when
    the component is built: later there are no files."""
    return (Path(module_file).parent / name).read_text("utf-8")
