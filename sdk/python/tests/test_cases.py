"""Cases that every SDK's fake host and the engine share."""

from __future__ import annotations

import json
import unittest
from pathlib import Path
from typing import Any

from bootsplice_sdk import Error
from bootsplice_sdk.testing import Host, Limits

from .test_host import author

SHARED = json.loads((Path(__file__).parents[2] / "cases.json").read_text("utf-8"))
CODES = {"Denied": "denied", "Unsupported": "unsupported", "QuotaExceeded": "quota-exceeded"}


def _name(value: Any) -> str:
    """A text, or some letters `x` behind another."""
    return value if isinstance(value, str) else value["before"] + "x" * value["x"]


def _call(sink: Any, call: dict[str, Any]) -> None:
    attrs: dict[str, Any] = {"mode": call["mode"]} if "mode" in call else {}
    if "user" in call:
        attrs["owner"] = ":".join(filter(None, [call["user"], call.get("group")]))
    text = "x" * call.get("size", 0)
    if "file" in call:
        sink.file(_name(call["file"]), text, **attrs)
    elif "dir" in call:
        sink.dir(_name(call["dir"]), **attrs)
    elif "template" in call:
        sink.template(call["template"], call["text"])
    elif "symlink" in call:
        sink.symlink(call["symlink"], call["to"])
    elif "service" in call:
        sink.service(call["service"])
    elif "run" in call:
        sink.run(text, interpreter=call["run"], user=call.get("user"))
    else:
        change = {call["set"]["path"]: call["set"]["value"]} if "set" in call else {}
        sink.edit(call["edit"], "ini", set=change)


class Cases(unittest.TestCase):
    def test_the_shared_cases_end_as_on_a_real_host(self) -> None:
        limits = Limits(**SHARED["limits"])
        for case in SHARED["cases"]:
            def generate(sink: Any, *_: Any, calls: Any = case["do"]) -> None:
                for call in calls:
                    _call(sink, call)

            with self.subTest(case["name"]):
                said = None
                try:
                    Host(limits=limits).launch(author(generate, secrets=["/secret"]), SHARED["config"])
                except Error as error:
                    said = (CODES.get(type(error).__name__, type(error).__name__), str(error))
                if "refused" not in case:
                    self.assertIsNone(said)
                else:
                    assert said is not None, "nothing was refused"
                    self.assertEqual(said[0], case["refused"]["code"])
                    self.assertIn(case["refused"]["words"], said[1])
