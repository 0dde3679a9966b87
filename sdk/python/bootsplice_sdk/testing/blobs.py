"""Blobs in the test's own memory."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import zlib
from typing import Any

from ..contract import blobs
from ..errors import Unsupported
from .limits import Run, answers

MAX_READ = 1 << 20
MAX_WRITE = 256 << 10
MAX_SPANS = 65_536


class FakeBlob:
    def __init__(self, run: Run, data: bytes) -> None:
        self.run, self.data = run, data
        run.take("handles", "handles")

    def size(self) -> int:
        return len(self.data)

    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.data).hexdigest()

    @answers
    def read(self, offset: int, len: int) -> bytes:
        return self.data[offset : offset + min(len, MAX_READ)]

    @answers
    def read_many(self, spans: list[blobs.Span]) -> list[bytes]:
        total = sum(span.len for span in spans)
        if total > MAX_READ or len(spans) > MAX_SPANS:
            raise Unsupported(
                f"read-many of {total} bytes in {len(spans)} spans; {MAX_READ} bytes in {MAX_SPANS} spans are allowed"
            )
        return [self.data[span.offset : span.offset + span.len] for span in spans]

    @answers
    def decompress(self, codec: blobs.Codec, max_size: int) -> FakeBlob:
        self.run.only_in("decompress", "resolve", "generate")
        plain = _plain(codec, self.data)
        if len(plain) > max_size:
            raise Unsupported(f"it is larger than {max_size} bytes without its compression")
        if len(plain) > max(200 * len(self.data), 16 << 20):
            raise Unsupported("it grows more than 200 times when decompressed, past 16777216 bytes")
        self.run.take("output-bytes", "scratch_bytes", len(plain))
        return FakeBlob(self.run, plain)

    @answers
    def slice(self, offset: int, len: int) -> FakeBlob:
        if offset + len > self.size():
            raise Unsupported(f"{len} bytes from {offset} are not inside a blob of {self.size()} bytes")
        return FakeBlob(self.run, self.data[offset : offset + len])

    def __del__(self) -> None:
        self.run.used["handles"] = self.run.used.get("handles", 1) - 1


class FakeBuilder:
    def __init__(self, run: Run) -> None:
        self.run, self.data = run, bytearray()
        self.spent = False

    @answers
    def write(self, data: bytes) -> None:
        self.run.only_in("blob-builder", "resolve", "generate")
        check_write(data)
        self._add(data)

    @answers
    def append(self, content: FakeBlob) -> None:
        self.run.only_in("blob-builder", "resolve", "generate")
        self._add(content.data)

    @answers
    def finish(self) -> FakeBlob:
        if self.spent:
            raise Unsupported("the builder is finished already")
        self.spent = True
        return FakeBlob(self.run, bytes(self.data))

    def _add(self, data: bytes) -> None:
        if self.spent:
            raise Unsupported("the builder is finished already")
        self.run.take("output-bytes", "scratch_bytes", len(data))
        self.data += data


def check_write(data: bytes) -> None:
    if len(data) > MAX_WRITE:
        raise Unsupported(f"a write of {len(data)} bytes; {MAX_WRITE} are allowed in one call")


def _plain(codec: blobs.Codec, data: bytes) -> bytes:
    try:
        match codec:
            case blobs.Codec.GZIP:
                return zlib.decompress(data, wbits=31)
            case blobs.Codec.XZ:
                return lzma.decompress(data)
            case blobs.Codec.BZIP2:
                return bz2.decompress(data)
            case _:
                return _zstd().decompress(data)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise Unsupported(f"it is not valid {codec.name.title()}: {error}") from None


def _zstd() -> Any:
    """Python has it from 3.14; before, the package `backports.zstd`."""
    try:
        from compression import zstd  # type: ignore[import-not-found]
    except ImportError:
        from backports import zstd  # type: ignore[import-not-found]
    return zstd
