"""The fake host refuses what the real one refuses, and says the same."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tarfile
import unittest
from typing import Any

from bootsplice_sdk import (
    ConfigError, Denied, Descriptor, Fault, Generator, Integrity, LockFile, NotFound, QuotaExceeded, Source, Unsupported, blob,
    fetch, log, pin,
)
from bootsplice_sdk.testing import Host, Instance, Limits

URL = "https://a.example/x/file"


def author(generate: Any = None, resolve: Any = None, **more: Any) -> type[Generator[Any]]:
    class Made(Generator[dict]):
        def describe(self) -> Descriptor:
            return Descriptor("made", "1.0.0", "Made", "For a test.", "{}", **more)

        def resolve(self, target: Any, config: Any, previous: Any) -> LockFile:
            return resolve(config) if resolve else LockFile(max_output=1 << 20)

        def generate(self, target: Any, config: Any, locked: Any, instance: Any, sink: Any) -> None:
            if generate:
                generate(sink, locked, instance)

    return Made


def write(path: str = "/x", content: Any = b"x", **more: Any) -> Any:
    return lambda sink, *_: sink.file(path, content, **more)


class Archive(unittest.TestCase):
    def refused(self, kind: type[Exception], words: str, generate: Any, limits: Limits = Limits()) -> None:
        with self.assertRaisesRegex(kind, words):
            Host(limits=limits).launch(author(generate), {})

    def test_a_path_has_one_form(self) -> None:
        for path in ("etc/motd", "/etc//motd", "/etc/../x", "/etc/.", "/a\nb", "~a b/x", "~ada", "/" + "a" * 256, "/\u202etxt"):
            with self.subTest(path):
                self.refused(Denied, "path `", write(path))
        step = Host().launch(author(write("~ada/notes.txt", "hi", owner="ada:staff")), {})
        self.assertEqual(step.entries["~ada/notes.txt"].owner, ("ada", "staff"))

    def test_modes_and_owners_are_checked(self) -> None:
        self.refused(Denied, "4755 has bits beyond 0777", write(mode=0o4755))
        self.refused(Denied, "no user's or group's name", write(owner="a b"))

    def test_a_name_stands_once_and_nothing_lies_below_a_file(self) -> None:
        def twice(sink: Any, *_: Any) -> None:
            sink.file("/\u00e9", "1")
            sink.file("/e\u0301", "2")

        def through(sink: Any, *_: Any) -> None:
            sink.symlink("/a", "b")
            sink.file("/a/x", "1")

        self.refused(Denied, "already has an entry", twice)
        self.refused(Denied, "below an entry that is no directory", through)
        self.refused(Denied, "leads out of its root", lambda sink, *_: sink.symlink("/a", "../../b"))

    def test_an_output_bomb_stays_broken_even_if_the_generator_goes_on(self) -> None:
        def stubborn(sink: Any, *_: Any) -> None:
            try:
                sink.file("/big", b"x" * 100_000)
            except QuotaExceeded:
                pass

        self.refused(QuotaExceeded, "output-bytes", stubborn, Limits(output_bytes=10_000))
        many = lambda sink, *_: [sink.file(f"/{n}", "") for n in range(9)]  # noqa: E731
        self.refused(QuotaExceeded, "output-entries", many, Limits(output_entries=8))

    def test_a_writer_is_finished_and_large_content_comes_whole(self) -> None:
        self.refused(Fault, "never finished", lambda sink, *_: sink.open("/x"))
        step = Host().launch(author(write(content=b"x" * (3 << 20)), lambda _: LockFile(max_output=4 << 20)), {})
        self.assertEqual(len(step.entries["/x"].content), 3 << 20)

    def test_more_than_the_lock_file_said_is_a_fault(self) -> None:
        with self.assertRaisesRegex(Fault, "the lock file said 10"):
            Host().launch(author(write(), lambda _: LockFile(max_output=10)), {})

    def test_placeholders_are_known_and_secrets_named(self) -> None:
        template = lambda text: lambda sink, *_: sink.template("/x.json", text)  # noqa: E731
        self.refused(Unsupported, "is not a placeholder", template("{{instance:ip}}"))
        self.refused(Denied, "secret `key` is not named", template("{{secret:key}}"))
        step = Host().launch(author(template("{{instance:id}} {{jinja}}")), {})
        self.assertEqual((step.entries["/x.json"].kind, step.entries["/x.json"].format), ("template", "json"))

    def test_actions_are_checked(self) -> None:
        self.refused(Unsupported, "no unit's name", lambda sink, *_: sink.service("nginx"))
        self.refused(Unsupported, "interpreter", lambda sink, *_: sink.run("x", interpreter="sh"))
        self.refused(Unsupported, "65537 bytes", lambda sink, *_: sink.run("x" * 65537))
        self.refused(Unsupported, "1 to 10000 changes", lambda sink, *_: sink.edit("/x", "ini"))

    def test_members_of_an_archive_pass_the_same_checks(self) -> None:
        def tar(kind: bytes, name: str = "d/x") -> Any:
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as out:
                member = tarfile.TarInfo(name)
                member.type, member.linkname, member.mode = kind, "y", 0o4755
                out.addfile(member)
            return lambda sink, *_: sink.unpack("/opt", blob(packed.getvalue()), strip_components=1)

        step = Host().launch(author(tar(tarfile.REGTYPE)), {})
        self.assertEqual(step.entries["/opt/x"].mode, 0o755)
        self.refused(Denied, "only files", tar(tarfile.LNKTYPE))
        self.refused(Denied, r"`\.\.` segment", tar(tarfile.REGTYPE, "../x"))


class Fetch(unittest.TestCase):
    def resolve(self, get: Any, wish: str = "https://a.example/", **host: Any) -> Host:
        place = Host(**({"files": {URL: b"bytes"}} | host))
        place.resolve(author(resolve=lambda _: get() and LockFile(max_output=0), fetch=[wish]), {})
        return place

    def test_a_grant_covers_whole_segments_and_what_the_descriptor_asks_for(self) -> None:
        get = lambda: fetch.get(URL)  # noqa: E731
        self.assertEqual(self.resolve(get).fetched, [URL])
        self.resolve(get, grants=["https://a.example/x"])
        self.resolve(get, wish="https://*/")
        for wrong in ({"grants": ["https://a.example/xy"]}, {"grants": []}, {"wish": "https://b.example/"}):
            with self.assertRaisesRegex(Denied, "no grant of this step covers it"):
                self.resolve(get, **wrong)
        with self.assertRaisesRegex(Denied, "segment in the path"):
            self.resolve(lambda: fetch.get("https://a.example/x/%2e%2e/y"))

    def test_bytes_are_what_was_promised(self) -> None:
        with self.assertRaises(Integrity):
            self.resolve(lambda: fetch.get(URL, "0" * 64))
        with self.assertRaises(NotFound):
            self.resolve(lambda: fetch.get(URL + "2"), grants=["https://a.example/"])
        with self.assertRaisesRegex(QuotaExceeded, "fetch-bytes"):
            self.resolve(lambda: fetch.get(URL, max_size=3))
        with self.assertRaisesRegex(QuotaExceeded, "fetch-count"):
            self.resolve(lambda: [fetch.get(URL) for _ in range(3)], limits=Limits(fetches=2))
        with self.assertRaisesRegex(Denied, "secret `token` is not granted"):
            self.resolve(lambda: fetch.get(URL, credential="token"))

    def test_generate_fetches_only_what_is_pinned(self) -> None:
        def resolve(config: Any) -> LockFile:
            return LockFile(max_output=4096, pins=[pin("it", Source(URL))[0]])

        host = Host({URL: b"bytes"})
        step = host.launch(author(lambda sink, locked, _: sink.file("/x", locked.open("it")), resolve, fetch=[URL]), {})
        self.assertEqual(step.entries["/x"].content, b"bytes")
        with self.assertRaisesRegex(Denied, "names the digest of a pin"):
            host.launch(author(lambda *_: fetch.get(URL), resolve, fetch=[URL]), {})
        other = hashlib.sha256(b"other").hexdigest()
        with self.assertRaisesRegex(Denied, "is not in the lock"):
            host.launch(author(lambda *_: fetch.get(URL, other), resolve, fetch=[URL]), {})

    def test_nothing_is_fetched_while_validating(self) -> None:
        class Curious(author()):  # type: ignore[misc]
            def validate(self, target: Any, config: Any) -> Any:
                fetch.get(URL)

        with self.assertRaisesRegex(ConfigError, "cannot be used in this phase"):
            Host({URL: b""}).launch(Curious, {})


class Errors(unittest.TestCase):
    def test_an_exception_is_a_fault_with_file_and_line(self) -> None:
        def generate(sink: Any, *_: Any) -> None:
            int("twelve")

        host = Host()
        with self.assertRaisesRegex(Fault, r"^test_host\.py:\d+: ValueError: invalid literal .*'twelve'$"):
            host.launch(author(generate), {})
        self.assertIn("ValueError", host.log[0].message)
        self.assertRegex(host.log[1].message, r"at generate \(.*test_host\.py:\d+\)")

    def test_a_config_error_keeps_its_pointer(self) -> None:
        def resolve(config: Any) -> LockFile:
            raise ConfigError("/a/0", "wrong")

        with self.assertRaises(ConfigError) as caught:
            Host().resolve(author(resolve=resolve), {})
        self.assertEqual(caught.exception.findings[0].pointer, "/a/0")

    def test_the_log_is_bounded_and_blocks_nothing(self) -> None:
        host = Host(limits=Limits(log_bytes=100))
        host.launch(author(lambda *_: [log.info("x" * 60) for _ in range(5)]), {})
        self.assertEqual(len(host.log), 1)

    def test_the_instance_comes_where_the_lock_file_asks(self) -> None:
        seen: list[Any] = []
        note = lambda sink, locked, instance: seen.append(instance)  # noqa: E731
        Host().launch(author(note), {}, Instance("i-7", "p", []))
        Host().launch(author(note, lambda _: LockFile(max_output=0, needs_instance=True)), {}, Instance("i-7", "p", [("a", "b")]))
        self.assertIsNone(seen[0])
        self.assertEqual(dataclasses.astuple(seen[1]), ("i-7", "p", {"a": "b"}))
