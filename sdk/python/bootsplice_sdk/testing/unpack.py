"""Members of tar and zip archives, refused where the host refuses them."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from ..contract import archive
from ..errors import Denied, Unsupported


@dataclass(frozen=True)
class Member:
    path: str
    kind: str
    mode: int
    content: bytes


def members(data: bytes, prefix: str, options: archive.UnpackOptions) -> Iterator[Member]:
    """Each member with its place below `prefix`; the archive's own root and stripped parents are left out."""
    found = _tar(data) if options.format is archive.UnpackFormat.TAR else _zip(data)
    for name, kind, mode, content in found:
        if name.startswith("/"):
            raise Denied(f"{name}: an absolute name")
        segments = [segment for segment in name.split("/") if segment not in ("", ".")]
        stripped, below = segments[: options.strip_components], segments[options.strip_components :]
        if ".." in stripped:
            raise Denied(f"{name}: a `..` segment")
        if not below:
            continue
        if options.mode is not None:
            mode = options.mode | ((options.mode & 0o444) >> 2) if kind == "dir" else options.mode
        yield Member(f"{prefix}/{'/'.join(below)}", kind, mode & 0o777, content)


def _tar(data: bytes) -> Iterator[tuple[str, str, int, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            for member in tar:
                if member.isfile() and not member.issparse():
                    content = tar.extractfile(member)
                    yield member.name, "file", member.mode, content.read() if content else b""
                elif member.isdir():
                    yield member.name, "dir", member.mode, b""
                elif member.issym():
                    yield member.name, "symlink", member.mode, member.linkname.encode()
                else:
                    raise Denied(
                        f"{member.name}: a member of type {member.type.decode()!r}; "
                        "only files, directories and symbolic links are unpacked"
                    )
    except tarfile.TarError as error:
        raise Unsupported(f"not a readable tar: {error}") from None


def _zip(data: bytes) -> Iterator[tuple[str, str, int, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for member in packed.infolist():
                if "\\" in member.filename:
                    raise Denied(f"{member.filename}: a backslash in a zip member's name")
                mode = member.external_attr >> 16
                content = packed.read(member)
                kind = "dir" if member.is_dir() else "symlink" if stat.S_ISLNK(mode) else "file"
                yield member.filename, kind, mode or (0o755 if kind == "dir" else 0o644), content
    except zipfile.BadZipFile as error:
        raise Unsupported(f"not a readable zip: {error}") from None
