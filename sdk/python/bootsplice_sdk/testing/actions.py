"""Refuses actions that no agent could run, as the host does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..contract import archive
from ..errors import Unsupported
from ..paths import path_fault, user_fault

MAX_SCRIPT = 64 << 10
MAX_CHANGES = 10_000
_UNIT = re.compile(r"[A-Za-z0-9:_\\][A-Za-z0-9:_.\\@-]*\.(service|socket|timer|path|mount|automount|target|slice)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_action(action: archive.Action) -> None:
    """Raises `Unsupported` with what is wrong."""
    match action:
        case archive.Action_Edit(edit):
            fault = _edit(edit)
        case archive.Action_Run(command):
            fault = _command(command)
        case archive.Action_Service(service):
            fault = _service(service)
    if fault:
        raise Unsupported(fault)


def placeholder_texts(action: archive.Action) -> Iterator[str]:
    """Every text of an action in which placeholders are filled."""
    match action:
        case archive.Action_Edit(edit):
            for change in edit.changes:
                if change.value is not None:
                    yield from _strings(json.loads(change.value))
        case archive.Action_Run(command):
            for _, value in command.environment:
                yield value


def _edit(edit: archive.FileEdit) -> str | None:
    if fault := path_fault(edit.file):
        return f"path `{edit.file}`: {fault}"
    if not 1 <= len(edit.changes) <= MAX_CHANGES:
        return f"an edit of {edit.file} has 1 to {MAX_CHANGES} changes"
    for change in edit.changes:
        if not change.path.startswith("/") or len(change.path) > 4096:
            return f"`{change.path}` is no JSON Pointer below the root of {edit.file}"
        if change.verb is not archive.ChangeVerb.REMOVE and change.value is None:
            return f"{change.verb.name.title()} of {change.path} needs a value"
    if any(not command or not command[0] or any("\0" in word for word in command) for command in edit.on_change):
        return "an on-change command is a program and its arguments"
    return None


def _command(command: archive.Command) -> str | None:
    if not (command.interpreter.startswith("/") or command.interpreter == "powershell") or "\0" in command.interpreter:
        return f"`{command.interpreter}` is not the absolute path of an interpreter"
    if len(command.text.encode()) > MAX_SCRIPT:
        return f"the script has {len(command.text.encode())} bytes; {MAX_SCRIPT} are allowed"
    if any("\0" in word for word in command.arguments):
        return "an argument holds NUL"
    for name, _ in command.environment:
        if not _VARIABLE.fullmatch(name):
            return f"`{name}` is no name of an environment variable"
    if command.working_directory is not None and (command.working_directory[:1] not in ("/", "~") or "\0" in command.working_directory):
        return f"working directory `{command.working_directory}` is not absolute"
    return _user(command.user)


def _service(service: archive.Service) -> str | None:
    if len(service.unit) > 255 or not _UNIT.fullmatch(service.unit):
        return f"`{service.unit}` is no unit's name; expected one such as `nginx.service`"
    return _user(service.user)


def _user(name: str | None) -> str | None:
    return f"`{name}` is no user's name" if name is not None and user_fault(name) else None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(item)
