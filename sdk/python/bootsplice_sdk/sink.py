"""Where content goes. The host writes the archive; a generator says what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from .blob import MIB, WRITE, Blob
from .contract import archive
from .errors import host_call

Conflict = Literal["fail", "replace", "keep-existing", "backup"]
"""What the agent does when the path exists with other content."""
TemplateFormat = Literal["plain", "shell", "json", "yaml", "ini"]
EditFormat = Literal["ini", "json", "yaml", "toml", "key-value", "systemd"]

_FORMATS: dict[str, TemplateFormat] = {
    "sh": "shell", "bash": "shell", "json": "json", "yaml": "yaml", "yml": "yaml", "ini": "ini", "desktop": "ini",
    "service": "ini", "socket": "ini", "timer": "ini", "mount": "ini", "network": "ini",
}


class Writer:
    """An entry in the making: `with sink.open("/etc/big") as out: out.write(…)`. Without an error it exists at the end of the block."""

    def __init__(self, raw: archive.EntryWriter) -> None:
        self.raw = raw

    def write(self, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        with host_call():
            for start in range(0, len(data), WRITE):
                self.raw.write(data[start : start + WRITE])

    def append(self, content: Blob) -> None:
        with host_call():
            self.raw.append(content.raw)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            with host_call():
                self.raw.finish()


class Sink:
    """Entries, then actions. Paths are `/etc/motd`, or `~ada/notes.txt` for what lies in a user's home.

    `mode` is 0 to 0o777. `owner` is `"ada"`, `"ada:staff"` or None: root, or whose home it is.
    """

    def __init__(self, raw: archive.Sink) -> None:
        self.raw = raw

    def file(self, path: str, content: bytes | str | Blob, mode: int = 0o644, owner: str | None = None,
             on_conflict: Conflict = "replace") -> None:
        """A file of any size."""
        attrs = _attrs(mode, owner, on_conflict)
        content = content.encode() if isinstance(content, str) else content
        if isinstance(content, bytes) and len(content) > MIB:
            with self.open(path, mode, owner, on_conflict) as out:
                out.write(content)
            return
        with host_call():
            if isinstance(content, Blob):
                self.raw.put_blob(path, attrs, content.raw)
            else:
                self.raw.put_bytes(path, attrs, content)

    def template(self, path: str, text: str, mode: int = 0o644, owner: str | None = None,
                 on_conflict: Conflict = "replace", format: TemplateFormat | None = None) -> None:
        """Text in which the host fills `{{instance:id}}`, `{{instance:profile}}`, `{{instance:attributes.NAME}}` and `{{secret:NAME}}`
        per launch, escaped for `format` (from the path's ending when none is given). The generator is not run again for it."""
        chosen = format or _FORMATS.get(path.rpartition("/")[2].rpartition(".")[2], "plain")
        with host_call():
            self.raw.put_template(path, _attrs(mode, owner, on_conflict), text, archive.TemplateFormat[chosen.upper()])

    def dir(self, path: str, mode: int = 0o755, owner: str | None = None, on_conflict: Conflict = "replace") -> None:
        with host_call():
            self.raw.put_dir(path, _attrs(mode, owner, on_conflict))

    def symlink(self, path: str, to: str) -> None:
        """`to` is relative and stays inside the root or the home."""
        with host_call():
            self.raw.put_symlink(path, to)

    def open(self, path: str, mode: int = 0o644, owner: str | None = None, on_conflict: Conflict = "replace") -> Writer:
        """For content that comes piece by piece."""
        with host_call():
            return Writer(self.raw.create(path, _attrs(mode, owner, on_conflict)))

    def unpack(self, prefix: str, content: Blob, format: Literal["tar", "zip"] = "tar", *, strip_components: int = 0,
               mode: int | None = None, owner: str | None = None, on_conflict: Conflict = "replace") -> int:
        """The members of an archive below `prefix`, unpacked by the host. Answers how many."""
        options = archive.UnpackOptions(
            archive.UnpackFormat[format.upper()], strip_components, mode, _owner(owner), _conflict(on_conflict)
        )
        with host_call():
            return self.raw.unpack(prefix, content.raw, options)

    def edit(self, file: str, format: EditFormat, *, set: Mapping[str, Any] | None = None,
             append: Mapping[str, Any] | None = None, remove: Sequence[str] = (), create: bool = False,
             on_change: Sequence[Sequence[str]] = ()) -> None:
        """A change of a structured file that is in the guest: JSON Pointers into it, and values as Python has them."""
        verbs = archive.ChangeVerb
        changes = [archive.Change(verbs.SET, at, json.dumps(value), None) for at, value in (set or {}).items()]
        changes += [archive.Change(verbs.APPEND, at, json.dumps(value), None) for at, value in (append or {}).items()]
        changes += [archive.Change(verbs.REMOVE, at, None, None) for at in remove]
        chosen = archive.EditFormat[format.upper().replace("-", "_")]
        commands = [list(command) for command in on_change]
        self._act(archive.Action_Edit(archive.FileEdit(file, chosen, changes, create, commands)))

    def run(self, text: str, *arguments: str, interpreter: str = "/bin/sh", environment: Mapping[str, str] | None = None,
            user: str | None = None, working_directory: str | None = None) -> None:
        """A script for the guest, at most 64 KiB. What varies belongs into `environment`, whose values may hold placeholders."""
        pairs = list((environment or {}).items())
        self._act(archive.Action_Run(archive.Command(interpreter, text, list(arguments), pairs, user, working_directory)))

    def service(self, unit: str, *, user: str | None = None, enable: bool = True, start: bool = True) -> None:
        self._act(archive.Action_Service(archive.Service(unit, user, enable, start)))

    def _act(self, action: archive.Action) -> None:
        with host_call():
            self.raw.add_action(action)


class _Meter:
    """Counts what is written instead of writing it."""

    OVERHEAD = 4096

    def __init__(self) -> None:
        self.bytes = self.OVERHEAD

    def put_blob(self, path: str, attrs: object, content: Any) -> None:
        self.bytes += self.OVERHEAD + content.size()

    def put_bytes(self, path: str, attrs: object, content: bytes) -> None:
        self.bytes += self.OVERHEAD + len(content)

    def put_template(self, path: str, attrs: object, text: str, format: object) -> None:
        # Filled values are longer than their placeholders.
        self.bytes += 2 * (self.OVERHEAD + len(text.encode()))

    def put_dir(self, path: str, attrs: object) -> None:
        self.bytes += self.OVERHEAD

    def put_symlink(self, path: str, to: str) -> None:
        self.bytes += self.OVERHEAD

    def create(self, path: str, attrs: object) -> _Meter:
        self.bytes += self.OVERHEAD
        return self

    def write(self, data: bytes) -> None:
        self.bytes += len(data)

    def append(self, content: Any) -> None:
        self.bytes += content.size()

    def finish(self) -> None:
        pass

    def unpack(self, prefix: str, content: Any, options: object) -> int:
        # A member costs a header beside its bytes; those of the archive have about as many.
        self.bytes += self.OVERHEAD + 4 * content.size()
        return 0

    def add_action(self, action: object) -> None:
        # JSON escapes may make six characters of one.
        self.bytes += self.OVERHEAD + 6 * len(repr(action).encode())


def max_output(write: Callable[[Sink], object]) -> int:
    """Upper bound of what `write` gives to a sink, for the lock file."""
    meter = _Meter()
    write(Sink(meter))  # type: ignore[arg-type]
    return meter.bytes


def _attrs(mode: int, owner: str | None, on_conflict: Conflict) -> archive.EntryAttrs:
    return archive.EntryAttrs(mode, _owner(owner), _conflict(on_conflict))


def _owner(text: str | None) -> archive.Ownership | None:
    if text is None:
        return None
    user, _, group = text.partition(":")
    return archive.Ownership(user or "root", group or user)


def _conflict(name: Conflict) -> archive.Conflict:
    return archive.Conflict[name.upper().replace("-", "_")]
