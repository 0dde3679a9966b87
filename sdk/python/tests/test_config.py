"""Configurations become dataclasses, or findings with pointers."""

from __future__ import annotations

import unittest
from dataclasses import dataclass, field
from typing import Literal

from bootsplice_sdk.config import from_json, read
from bootsplice_sdk.errors import ConfigError
from bootsplice_sdk.pointer import pointer, select


@dataclass
class Item:
    name: str
    kind: Literal["a", "b"] = "a"
    size: int | None = None


@dataclass
class Config:
    items: list[Item]
    table: dict[str, float] = field(default_factory=dict)
    on_conflict: str = field(default="replace", metadata={"name": "on-conflict"})


class Reading(unittest.TestCase):
    def test_a_configuration_is_read_into_classes(self) -> None:
        config = read(Config, '{"items": [{"name": "x", "kind": "b", "size": 3}], "table": {"k": 1}, "on-conflict": "fail"}')
        self.assertEqual(config, Config([Item("x", "b", 3)], {"k": 1.0}, "fail"))

    def test_every_fault_is_found_at_once_with_its_pointer(self) -> None:
        wrong = {"items": [{"name": 1, "sizes": 2}, {"kind": "c"}, {"name": "x", "size": True}], "table": {"a/b": "x"}, "more": 0}
        with self.assertRaises(ConfigError) as caught:
            from_json(Config, wrong)
        found = [(each.pointer, each.code) for each in caught.exception.findings]
        self.assertEqual(
            found,
            [
                ("/items/0/name", "malformed"), ("/items/0/sizes", "unknown-member"), ("/items/1", "missing"),
                ("/items/1/kind", "malformed"), ("/items/2/size", "malformed"), ("/table/a~1b", "malformed"), ("/more", "unknown-member"),
            ],
        )

    def test_what_is_no_json_is_malformed(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            read(Config, "{")
        self.assertEqual(caught.exception.findings[0].pointer, "")


class Pointers(unittest.TestCase):
    def test_a_star_selects_every_member(self) -> None:
        self.assertEqual(pointer("a/b", 0, "~"), "/a~1b/0/~0")
        self.assertEqual(list(select({"l": [{"u": 1}, {"u": 2}, {}]}, "/l/*/u")), [1, 2])
