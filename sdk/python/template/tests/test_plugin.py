"""`PYTHONPATH=sdk python3 -m unittest` in the project's directory."""

import unittest

from bootsplice_sdk import ConfigError
from bootsplice_sdk.testing import Host
from plugin import Plugin


class Greeting(unittest.TestCase):
    def test_the_greeting_is_a_line_of_the_message_of_the_day(self) -> None:
        step = Host().launch(Plugin, {"greeting": "Hello"})
        self.assertEqual(step.entries["/etc/motd.d/{{name}}"].text, "Hello\n")

    def test_a_blank_greeting_is_refused_at_its_place(self) -> None:
        with self.assertRaises(ConfigError) as refused:
            Host().launch(Plugin, {"greeting": " "})
        self.assertEqual(refused.exception.findings[0].pointer, "/greeting")
