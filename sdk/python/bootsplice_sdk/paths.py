"""Paths and names in the guest. The host checks again; this is for findings with a pointer, early."""

from __future__ import annotations

import re
import unicodedata

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_DIRECTION = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f"}


def path_fault(text: str) -> str | None:
    """What is wrong with `/etc/motd` or `~ada/notes.txt`; none when it is good."""
    if len(text.encode()) > 4096:
        return "longer than 4096 bytes"
    if text.startswith("~"):
        user, slash, below = text[1:].partition("/")
        if not slash:
            return "a home is `~user/…`"
        if user_fault(user):
            return "the user's name after `~` is not valid"
    elif text.startswith("/"):
        below = text[1:]
    else:
        return "start it with `/` or `~user/`"
    return next(filter(None, map(_segment_fault, below.split("/"))), None)


def link_fault(link: str, to: str) -> str | None:
    """What is wrong with a symbolic link's target: relative, inside the root or the home that `link` is in."""
    if not to or len(to.encode()) >= 4096:
        return "a link's target has 1 to 4095 bytes"
    if to[0] in "/~":
        return "a link's target is relative"
    depth = link.count("/") - 1
    for segment in to.split("/"):
        if segment == "..":
            depth -= 1
            if depth < 0:
                return "it leads out of its root"
        elif segment not in ("", "."):
            if fault := _segment_fault(segment):
                return fault
            depth += 1
    return None


def user_fault(name: str) -> str | None:
    """What is wrong with the name of a user or group."""
    if len(name) <= 32 and _NAME.fullmatch(name):
        return None
    return "a user's or group's name has 1 to 32 letters, digits, `_`, `-` and `.`, and begins with a letter, a digit or `_`"


def _segment_fault(segment: str) -> str | None:
    if not segment:
        return "an empty segment (`//`, or a `/` at the end)"
    if segment in (".", ".."):
        return "a `.` or `..` segment"
    if len(segment.encode()) > 255:
        return "a segment longer than 255 bytes"
    if any(unicodedata.category(character) == "Cc" for character in segment):
        return "a control character"
    if any(character in _DIRECTION for character in segment):
        return "a character that reverses the direction of text"
    return None
