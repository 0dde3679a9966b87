"""The archive in the test's own memory: every entry and action through the host's checks."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from ..contract import archive
from ..errors import Denied, Fault, Unsupported
from ..paths import link_fault, path_fault, user_fault
from .actions import check_action, placeholder_texts
from .blobs import FakeBlob, check_write
from .limits import Run, answers
from .unpack import members

MAX_INLINE = 1 << 20
MAX_ACTIONS = 1000
ENTRY_COST = 512
_PLACEHOLDER = re.compile(r"\{\{(?=instance:|secret:)(.*?)\}\}", re.DOTALL)
_KNOWN = re.compile(r"instance:(id|profile|attributes\.[A-Za-z0-9._-]{1,128})|secret:[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True)
class Entry:
    """One thing in the archive. `content` is bytes of a file, text of a template, a link's target, or None for a directory."""

    kind: str
    content: Any
    mode: int = 0o777
    owner: tuple[str, str] | None = None
    on_conflict: str = "fail"
    format: str | None = None

    @property
    def text(self) -> str:
        return self.content.decode() if isinstance(self.content, bytes) else str(self.content)


@dataclass
class Step:
    """What one run of `generate` made."""

    entries: dict[str, Entry] = field(default_factory=dict)
    actions: list[archive.Action] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reboot_required: bool = False


class FakeSink:
    def __init__(self, run: Run) -> None:
        self.run, self.step = run, Step()
        self.keys: dict[str, Entry | None] = {}
        """None: set aside for a writer that is not finished."""

    @answers
    def put_blob(self, path: str, attrs: archive.EntryAttrs, content: FakeBlob) -> None:
        self._file(path, attrs, content.data)

    @answers
    def put_bytes(self, path: str, attrs: archive.EntryAttrs, content: bytes) -> None:
        _check_inline("put-bytes", len(content))
        self._file(path, attrs, content)

    @answers
    def put_template(self, path: str, attrs: archive.EntryAttrs, text: str, format: archive.TemplateFormat) -> None:
        _check_inline("put-template", len(text.encode()))
        self._charge(len(text.encode()))
        if self._check_text(text, f"template {path}: "):
            self._add(path, attrs, "template", text, format.name.lower())
        else:
            self._add(path, attrs, "file", text.encode())

    @answers
    def put_dir(self, path: str, attrs: archive.EntryAttrs) -> None:
        held = self.step.entries.get(path)
        if held != _entry(attrs, "dir", None):
            self._add(path, attrs, "dir", None)

    @answers
    def put_symlink(self, path: str, to: str) -> None:
        self._symlink(path, to)

    @answers
    def create(self, path: str, attrs: archive.EntryAttrs) -> FakeWriter:
        key = self._place(path, attrs, False)
        self.keys[key] = None
        return FakeWriter(self, key, path, attrs)

    @answers
    def unpack(self, prefix: str, content: FakeBlob, options: archive.UnpackOptions) -> int:
        count = 0
        for member in members(content.data, prefix.rstrip("/"), options):
            attrs = archive.EntryAttrs(member.mode, options.owner, options.on_conflict)
            if member.kind == "dir":
                self.put_dir(member.path, attrs)
            elif member.kind == "symlink":
                self._symlink(member.path, member.content.decode())
            else:
                self._file(member.path, attrs, member.content)
            count += 1
        return count

    @answers
    def add_action(self, action: archive.Action) -> None:
        self.run.only_in("archive", "generate")
        check_action(action)
        if len(self.step.actions) >= MAX_ACTIONS:
            self.run.take("output-entries", "output_entries", 1 << 62)
        for text in placeholder_texts(action):
            self._check_text(text, "")
        self._charge(len(repr(action)))
        self.step.actions.append(action)

    def finish(self) -> Step:
        """The step, when no limit was reached and every writer was finished."""
        if self.run.broken:
            raise self.run.broken
        for key, entry in self.keys.items():
            if entry is None:
                raise Fault(f"the writer of {key} was never finished")
        self.step.entries = dict(sorted(self.step.entries.items()))
        return self.step

    def _file(self, path: str, attrs: archive.EntryAttrs, data: bytes) -> None:
        self._charge(len(data))
        self._add(path, attrs, "file", data)

    def _symlink(self, path: str, to: str) -> None:
        attrs = archive.EntryAttrs(0o777, None, archive.Conflict.FAIL)
        if fault := path_fault(path):
            raise Denied(f"path `{path}`: {fault}")
        if fault := link_fault(path, to):
            raise Denied(f"path `{path} -> {to}`: {fault}")
        self._charge(len(to))
        self._add(path, attrs, "symlink", to)

    def _add(self, path: str, attrs: archive.EntryAttrs, kind: str, content: Any, format: str | None = None) -> None:
        key = self._place(path, attrs, kind == "dir")
        self.keys[key] = self.step.entries[path] = _entry(attrs, kind, content, format)

    def _place(self, path: str, attrs: archive.EntryAttrs, is_dir: bool) -> str:
        self.run.only_in("archive", "generate")
        if fault := path_fault(path):
            raise Denied(f"path `{path[:200]}`: {fault}")
        if attrs.mode > 0o777:
            raise Denied(f"{path}: mode {attrs.mode:o} has bits beyond 0777 (setuid, setgid, sticky)")
        for name in (attrs.owner.user, attrs.owner.group) if attrs.owner else ():
            if user_fault(name):
                raise Denied(f"{path}: `{name}` is no user's or group's name")
        key = unicodedata.normalize("NFC", path)
        if key in self.keys:
            raise Denied(f"{path}: the step already has an entry of this name")
        parts = key.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            if above in self.keys and (held := self.keys[above], held is None or held.kind != "dir")[1]:
                raise Denied(f"{path}: it lies below an entry that is no directory")
        if not is_dir and any(other.startswith(key + "/") for other in self.keys):
            raise Denied(f"{path}: the step has entries below it, so it must be a directory")
        self.run.take("output-entries", "output_entries")
        self._charge(ENTRY_COST + len(path.encode()))
        return key

    def _charge(self, count: int) -> None:
        self.run.only_in("archive", "generate")
        self.run.take("output-bytes", "output_bytes", count)

    def _check_text(self, text: str, what: str) -> bool:
        """True when the text has placeholders; refuses a misspelt one, and a secret that the configuration does not name."""
        found = False
        for start in re.finditer(r"\{\{(?=instance:|secret:)", text):
            hole = _PLACEHOLDER.match(text, start.start())
            if not hole or not _KNOWN.fullmatch(hole[1]):
                raise Unsupported(
                    f"{what}`{text[start.start() :][:60]}` is not a placeholder: use {{{{instance:id}}}}, "
                    "{{instance:profile}}, {{instance:attributes.NAME}} or {{secret:NAME}}"
                )
            kind, _, name = hole[1].partition(":")
            if kind == "secret" and name not in self.run.secrets:
                raise Denied(
                    f"secret `{name}` is not named in the step's configuration where its generator says that secrets stand"
                )
            found = True
        return found


class FakeWriter:
    def __init__(self, sink: FakeSink, key: str, path: str, attrs: archive.EntryAttrs) -> None:
        self.sink, self.key, self.path, self.attrs = sink, key, path, attrs
        self.data: bytearray | None = bytearray()

    @answers
    def write(self, data: bytes) -> None:
        check_write(data)
        self._add(data)

    @answers
    def append(self, content: FakeBlob) -> None:
        self._add(content.data)

    @answers
    def finish(self) -> None:
        if self.data is None:
            raise Unsupported("the writer is finished already")
        entry = _entry(self.attrs, "file", bytes(self.data))
        self.data = None
        self.sink.keys[self.key] = self.sink.step.entries[self.path] = entry

    def _add(self, data: bytes) -> None:
        self.sink._charge(len(data))
        if self.data is None:
            raise Unsupported("the writer is finished already")
        self.data += data


def _entry(attrs: archive.EntryAttrs, kind: str, content: Any, format: str | None = None) -> Entry:
    owner = (attrs.owner.user, attrs.owner.group) if attrs.owner else None
    return Entry(kind, content, attrs.mode, owner, attrs.on_conflict.name.lower().replace("_", "-"), format)


def _check_inline(call: str, count: int) -> None:
    if count > MAX_INLINE:
        raise Unsupported(f"{call} of {count} bytes; {MAX_INLINE} are allowed, use create or a blob for more")
