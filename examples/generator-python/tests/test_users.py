"""`python -m unittest` in this directory, with the SDK on the path."""

from __future__ import annotations

import json
import unittest
from pathlib import Path

from bootsplice_sdk import ConfigError
from bootsplice_sdk.testing import Host, Step
from users import NAME, Users

EXAMPLES = Path(__file__).parent.parent / "examples"
TABLE = json.loads((EXAMPLES / "table.json").read_text())["csv"]
URL = "https://directory.example.com/team.csv"


class Launch(unittest.TestCase):
    def check(self, step: Step) -> None:
        keys = step.entries["/etc/ssh/authorized_keys.d/ada"]
        self.assertEqual([line.split()[2] for line in keys.text.splitlines()], ["ada@laptop", "ada@desk"])
        self.assertEqual((keys.mode, keys.owner), (0o644, None))
        self.assertEqual(
            step.entries[f"/etc/sysusers.d/{NAME}"].text.splitlines(),
            [
                'u ada 2001 "Ada Lovelace" /home/ada /bin/bash', "m ada sudo", "m ada adm",
                'u grace 2002 "Grace Hopper" /home/grace /bin/bash',
            ],
        )
        self.assertIn("C /home/ada 0700 ada ada - /etc/skel", step.entries[f"/etc/tmpfiles.d/{NAME}"].text)
        self.assertEqual(len(step.actions), 1)
        self.assertEqual(step.notes, ["2 users: ada, grace"])

    def test_a_table_becomes_accounts_homes_and_keys(self) -> None:
        self.check(Host().launch(Users, {"csv": TABLE}))

    def test_a_table_elsewhere_is_pinned_and_gives_the_same(self) -> None:
        host = Host({URL: TABLE.encode()})
        lock = host.resolve(Users, {"source": {"url": URL}})
        self.assertEqual([pin.name for pin in lock.pins], ["users.csv"])
        self.check(host.generate(Users, {"source": {"url": URL}}, lock))


class Refusals(unittest.TestCase):
    def fault(self, table: str) -> str:
        (finding,) = Host().validate(Users, {"csv": table})
        self.assertEqual(finding.pointer, "/csv")
        return finding.message

    def test_a_fault_is_named_by_its_line(self) -> None:
        head = "name,uid,full_name,groups,key\n"
        for row, words in {
            "ada,2001": "line 2: 2 cells",
            "Ada,2001,,,": "line 2: `Ada` is no user's name",
            "ada,12,,,": "line 2: the uid `12`",
            "ada,2001,,,\nbob,2001,,,": "line 3: the uid 2001 of bob",
            'ada,2001,"a"":b",,': "line 2: the full name",
            "ada,2001,,s/do,": "line 2: `s/do`",
            "ada,2001,,,ssh-ed25519 AAAA": "line 2: the key of ada",
            'ada,2001,,,"command=""x"" ssh-ed25519 AAAA"': "options before a key",
            "ada,2001,,,\nada,2001,,,": "line 3: ada stands above",
        }.items():
            with self.subTest(row):
                self.assertIn(words, self.fault(head + row + "\n"))
        self.assertIn("line 1", self.fault("user,key\n"))

    def test_a_bad_table_elsewhere_points_at_its_url(self) -> None:
        with self.assertRaises(ConfigError) as caught:
            Host({URL: b"nonsense"}).resolve(Users, {"source": {"url": URL}})
        self.assertEqual(caught.exception.findings[0].pointer, "/source/url")

    def test_one_table_is_given(self) -> None:
        (finding,) = Host().validate(Users, {})
        # The schema says so where `jsonschema` is installed, else the generator.
        self.assertIn(finding.code, ("schema", "one-table"))

    def test_the_examples_are_valid(self) -> None:
        for file in EXAMPLES.iterdir():
            self.assertEqual(Host().validate(Users, json.loads(file.read_text())), [])
