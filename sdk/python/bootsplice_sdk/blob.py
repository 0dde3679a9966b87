"""Bytes that live in the host. A generator moves handles, and reads what it must."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Literal

from .contract import blobs
from .errors import Unsupported, host_call

Codec = Literal["gzip", "xz", "zstd", "bzip2"]
MIB = 1 << 20
WRITE = 256 << 10
"""Most bytes that the host takes in one write."""


class Blob:
    """Immutable bytes in the host."""

    def __init__(self, raw: blobs.Blob, *, pinned: bool = False) -> None:
        self.raw, self.pinned = raw, pinned

    @property
    def size(self) -> int:
        return self.raw.size()

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hex digits."""
        return self.raw.digest()

    def read(self, offset: int, length: int) -> bytes:
        """At most 1 MiB; short only at the end."""
        with host_call():
            return self.raw.read(offset, length)

    def bytes(self, limit: int = 16 * MIB) -> bytes:
        """The whole blob in the guest's memory. Raises `Unsupported` past `limit` bytes."""
        size = self.size
        if size > limit:
            raise Unsupported(f"{size} bytes where at most {limit} are read at once")
        return b"".join(self.chunks())

    def text(self, limit: int = 16 * MIB, encoding: str = "utf-8") -> str:
        return self.bytes(limit).decode(encoding)

    def chunks(self) -> Iterator[bytes]:
        """Pieces of up to 1 MiB, in order."""
        offset = 0
        while piece := self.read(offset, MIB):
            offset += len(piece)
            yield piece

    def reader(self) -> io.BufferedReader:
        """A binary file to read and seek in: for `csv`, `json`, `tarfile`, `zipfile`."""
        return io.BufferedReader(_Reader(self), WRITE)

    def decompress(self, codec: Codec, max_size: int) -> Blob:
        """The bytes without their compression, done by the host."""
        with host_call():
            return Blob(self.raw.decompress(blobs.Codec[codec.upper()], max_size))

    def slice(self, offset: int, length: int) -> Blob:
        """A range as a blob of its own, without a copy."""
        with host_call():
            return Blob(self.raw.slice(offset, length), pinned=self.pinned)


class _Reader(io.RawIOBase):
    def __init__(self, blob: Blob) -> None:
        self.blob, self.size, self.at = blob, blob.size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        self.at = max(0, base + offset)
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.blob.read(self.at, min(len(buffer), MIB)) if self.at < self.size else b""
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)


def blob(pieces: bytes | str | Iterable[bytes]) -> Blob:
    """A blob of any size from bytes, or from pieces as they come."""
    if isinstance(pieces, str):
        pieces = pieces.encode()
    if isinstance(pieces, bytes):
        pieces = [pieces]
    with host_call():
        builder = blobs.BlobBuilder()
        for piece in pieces:
            for start in range(0, len(piece), WRITE):
                builder.write(piece[start : start + WRITE])
        return Blob(builder.finish())
