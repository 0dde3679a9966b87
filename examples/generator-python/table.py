"""The table: CSV in, users out, or a reason with its line."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
import struct
from dataclasses import dataclass, field

COLUMNS = ["name", "uid", "full_name", "groups", "key"]
KINDS = {
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclass
class User:
    name: str
    uid: int
    full_name: str
    groups: list[str]
    keys: list[str] = field(default_factory=list)


class Fault(Exception):
    """What is wrong in which line of the table."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


def read(text: str) -> list[User]:
    """The users in the table's order. Raises `Fault`."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(rows, None) != COLUMNS:
            raise Fault(1, f"the first line is not `{','.join(COLUMNS)}`")
        users: dict[str, User] = {}
        for row in rows:
            if row:
                _add(users, [cell.strip() for cell in row], rows.line_num)
    except csv.Error as error:
        raise Fault(rows.line_num, str(error)) from None
    return list(users.values())


def _add(users: dict[str, User], row: list[str], line: int) -> None:
    if len(row) != len(COLUMNS):
        raise Fault(line, f"{len(row)} cells where {len(COLUMNS)} are expected")
    name, uid, full_name, groups, key = row
    if not _NAME.fullmatch(name):
        raise Fault(line, f"`{name}` is no user's name: lower-case letters, digits, `_` and `-`")
    if name not in users:
        if not (uid.isascii() and uid.isdecimal() and 1000 <= int(uid) <= 60000):
            raise Fault(line, f"the uid `{uid}` of {name} is not a number from 1000 to 60000")
        if any(user.uid == int(uid) for user in users.values()):
            raise Fault(line, f"the uid {uid} of {name} is another's too")
        if any(character in '":\\%' or not character.isprintable() for character in full_name):
            raise Fault(line, f"the full name of {name} holds a quote, colon, backslash, percent or control character")
        users[name] = User(name, int(uid), full_name, groups.split())
        for group in users[name].groups:
            if not _NAME.fullmatch(group):
                raise Fault(line, f"`{group}` is no group's name")
    elif uid or full_name or groups:
        raise Fault(line, f"{name} stands above already: only the key may differ")
    if key:
        if reason := _key_fault(key):
            raise Fault(line, f"the key of {name}: {reason}")
        users[name].keys.append(key)


def _key_fault(key: str) -> str | None:
    """A public key as sshd(8) reads it, without options."""
    kind, _, rest = key.partition(" ")
    if kind not in KINDS:
        return f"`{kind}` is no kind of key; options before a key are not taken"
    if not key.isprintable():
        return "a control character"
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
        (length,) = struct.unpack_from(">I", blob)
        named = blob[4 : 4 + length].decode("ascii", "replace")
    except (binascii.Error, struct.error) as error:
        return f"not base64 of a key ({error})"
    return None if named == kind else f"it says {kind} and holds {named!r}"
