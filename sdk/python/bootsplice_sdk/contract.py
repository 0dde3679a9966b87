"""The contract itself, as componentize-py binds it: plain types, enumerations and the host's functions.

Inside a component `wit_world` is connected to the host. On a developer's machine it is the stubs of `_bindings`, whose functions only raise
until `bootsplice_sdk.testing` stands in for the host.
"""

import importlib.util
import sys
from pathlib import Path

if importlib.util.find_spec("wit_world") is None:
    sys.path.append(str(Path(__file__).with_name("_bindings")))

from componentize_py_types import Err, Ok, Result  # noqa: E402
from wit_world.exports import generator, plugin_info  # noqa: E402
from wit_world.imports import archive, blobs, cache, fetch, inventory, job, trust, types  # noqa: E402

__all__ = [
    "Err", "Ok", "Result",
    "archive", "blobs", "cache", "fetch", "generator", "inventory", "job", "plugin_info", "trust", "types",
]
