"""JSON Pointers (RFC 6901): how a finding says where it stands."""

from __future__ import annotations

from collections.abc import Iterator


def pointer(*tokens: str | int) -> str:
    """`pointer("files", 0, "path")` is `/files/0/path`; `~` and `/` inside a token are escaped."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


def select(document: object, pattern: str) -> Iterator[object]:
    """The values at a pointer whose tokens may be `*`: every member or item."""
    found = [document]
    for token in pattern.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        below: list[object] = []
        for value in found:
            if isinstance(value, dict):
                below.extend(value.values() if token == "*" else [value[name]] if name in value else [])
            elif isinstance(value, list):
                if token == "*":
                    below.extend(value)
                elif name.isdecimal() and int(name) < len(value):
                    below.append(value[int(name)])
        found = below
    yield from found
