"""A fake host for unit tests on CPython: `Host(...).launch(Generator, config)` gives what a launch would put on the disk.

Limits, refusals and errors are the real host's; what it does not have is named in the README.
"""

from ..contract import types
from .archive import Entry, Step
from .host import Host, Line, Lock
from .limits import TARGET, Limits

Instance = types.Instance

__all__ = ["TARGET", "Entry", "Host", "Instance", "Limits", "Line", "Lock", "Step"]
