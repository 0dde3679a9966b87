"""From the configuration's JSON to a dataclass of the author's, with a finding for each place that does not fit."""

from __future__ import annotations

import dataclasses
import enum
import json
import types as python
import typing
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from .errors import ConfigError, Diagnostic
from .pointer import pointer

C = TypeVar("C")
_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def read(kind: type[C] | Any, text: str) -> C:
    """Parses the configuration. Raises `ConfigError` with every finding.

    `kind` is a dataclass (nested at will), or `dict` for the parsed JSON as it is. Members that the class does not have are findings. A field
    called otherwise in the JSON says so: `field(metadata={"name": "on-conflict"})`.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError("", str(error), code="malformed") from None
    return from_json(kind, value)


def from_json(kind: type[C] | Any, value: Any) -> C:
    """The same for JSON that was parsed already."""
    found: list[Diagnostic] = []
    result = _convert(kind, value, (), found)
    if found:
        raise ConfigError.of(found)
    return typing.cast(C, result)


def _convert(kind: Any, value: Any, at: tuple[str | int, ...], found: list[Diagnostic]) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any or kind is object or kind is dict and isinstance(value, dict):
        return value
    if origin in (Union, python.UnionType):
        return _union(parts, value, at, found)
    if origin is Literal:
        if value in parts and type(value) in map(type, parts):
            return value
        choices = ", ".join(json.dumps(part) for part in parts)
        return _wrong(at, f"{_show(value)} is none of {choices}", found)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, at, found)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        choices = [member.value for member in kind]
        if value in choices:
            return kind(value)
        return _wrong(at, f"{_show(value)} is none of {', '.join(map(json.dumps, choices))}", found)
    if origin in (list, tuple) or kind in (list, tuple):
        if not isinstance(value, list):
            return _wrong(at, f"{_show(value)} is not a list", found)
        item = parts[0] if parts else Any
        items = [_convert(item, each, (*at, index), found) for index, each in enumerate(value)]
        return items if (origin or kind) is list else tuple(items)
    if origin is dict:
        if not isinstance(value, dict):
            return _wrong(at, f"{_show(value)} is not an object", found)
        return {key: _convert(parts[1], each, (*at, key), found) for key, each in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    if kind in _NAMES and type(value) is kind:
        return value
    return _wrong(at, f"{_show(value)} is not {_NAMES.get(kind, 'an object')}", found)


def _union(parts: tuple[Any, ...], value: Any, at: tuple[str | int, ...], found: list[Diagnostic]) -> Any:
    if value is None and type(None) in parts:
        return None
    attempts = []
    for part in parts:
        if part is type(None):
            continue
        tried: list[Diagnostic] = []
        result = _convert(part, value, at, tried)
        if not tried:
            return result
        attempts.append(tried)
    # The alternative that came furthest tells most.
    found.extend(max(attempts, key=lambda tried: max(len(each.pointer) for each in tried)))
    return None


def _dataclass(kind: Any, value: Any, at: tuple[str | int, ...], found: list[Diagnostic]) -> Any:
    if not isinstance(value, dict):
        return _wrong(at, f"{_show(value)} is not an object", found)
    hints = typing.get_type_hints(kind)
    rest, given = dict(value), {}
    before = len(found)
    for field in dataclasses.fields(kind):
        name = field.metadata.get("name", field.name)
        if name in rest:
            given[field.name] = _convert(hints[field.name], rest.pop(name), (*at, name), found)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            found.append(Diagnostic(pointer(*at), f"`{name}` is missing", "missing"))
    for name in rest:
        found.append(Diagnostic(pointer(*at, name), f"`{name}` is not known here", "unknown-member"))
    if len(found) > before:
        return None
    return kind(**given)


def _wrong(at: tuple[str | int, ...], message: str, found: list[Diagnostic]) -> None:
    found.append(Diagnostic(pointer(*at), message, "malformed"))


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
