"""The network as a table of URLs, behind grants and pins as on a real host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from ..contract import Err, Ok, fetch, types
from ..errors import Denied, Error, Integrity, NotFound, QuotaExceeded, Unsupported
from ..pointer import select
from .blobs import FakeBlob
from .limits import Run, answers

SCHEMES = ("https", "http", "file", "s3", "gs", "az")
PORTS = {"https": 443, "http": 80}
MAX_BATCH = 1024
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Web:
    """What can be fetched: URL to bytes, or to the error that it gives."""

    def __init__(self, run: Run, files: dict[str, bytes | Error], secrets: set[str], granted: set[str]) -> None:
        self.run, self.files, self.secrets, self.granted = run, files, secrets, granted
        self.asked: list[str] = []

    @answers
    def get(self, request: fetch.Request) -> fetch.Response:
        return self._get(request)

    def get_all(self, requests: list[fetch.Request]) -> list[Ok[fetch.Response] | Err[types.Error]]:
        answered: list[Ok[fetch.Response] | Err[types.Error]] = []
        for index, request in enumerate(requests):
            try:
                if index >= MAX_BATCH:
                    raise Unsupported(f"at most {MAX_BATCH} requests in one call")
                answered.append(Ok(self._get(request)))
            except Error as error:
                answered.append(Err(error.to_contract()))
        return answered

    def _get(self, request: fetch.Request) -> fetch.Response:
        self.run.only_in("fetch", "resolve", "generate")
        if request.digest is not None and not _DIGEST.fullmatch(request.digest):
            raise Unsupported(f"`{request.digest}` is no digest: write sha256: and 64 lower-case hex digits")
        urls, limit = request.urls, request.max_size
        if self.run.phase == "generate":
            if request.digest is None:
                raise Denied("in generate a fetch names the digest of a pin")
            pin = self.run.pins.get(request.digest)
            if pin is None:
                raise Denied(f"{request.digest} is not in the lock")
            urls, limit = pin.urls, pin.size
        self.run.take("fetch-count", "fetches")
        if not 1 <= len(urls) <= 16:
            raise Unsupported("a fetch names 1 to 16 URLs")
        first: Error | None = None
        for url in urls:
            try:
                return self._one(url, request, limit)
            except QuotaExceeded:
                raise
            except Error as error:
                first = first or error
        raise first or NotFound("no URL was tried")

    def _one(self, url: str, request: fetch.Request, limit: int) -> fetch.Response:
        check_url(url)
        if not any(covers(prefix, url) for prefix in self.run.grants):
            raise Denied(f"{url}: no grant of this step covers it")
        if request.credential is not None:
            if request.credential not in self.granted:
                raise Denied(f"secret `{request.credential}` is not granted to this step")
            if request.credential not in self.secrets:
                raise NotFound(f"secret `{request.credential}`")
        self.asked.append(url)
        found = self.files.get(url)
        if found is None:
            raise NotFound(f"{url} answered 404")
        if isinstance(found, Error):
            raise found
        if len(found) > limit:
            self.run.broken = self.run.broken or QuotaExceeded("fetch-bytes")
            raise QuotaExceeded("fetch-bytes")
        self.run.take("fetch-bytes", "fetch_bytes", len(found))
        blob = FakeBlob(self.run, found)
        if request.digest is not None and blob.digest() != request.digest:
            raise Integrity(request.digest, blob.digest(), url)
        return fetch.Response(blob, url, None, False)  # type: ignore[arg-type]


def wishes(patterns: Iterable[str], config: Any) -> list[str]:
    """A descriptor's wishes with `${config:POINTER}` filled in."""
    found: list[str] = []
    for pattern in patterns:
        if pattern.startswith("${config:") and pattern.endswith("}"):
            found += [value for value in select(config, pattern[9:-1]) if isinstance(value, str)]
        else:
            found.append(pattern)
    return found


def meet(grant: str, wish: str) -> str | None:
    """What of a grant a wish asks for."""
    scheme, star, _ = wish.partition("://*/")
    if star:
        return grant if grant.startswith(scheme + "://") else None
    try:
        check_url(wish)
    except Denied:
        return None
    return wish if covers(grant, wish) else grant if covers(wish, grant) else None


def covers(prefix: str, url: str) -> bool:
    """Whole path segments of the same origin."""
    one, two = urlsplit(prefix), urlsplit(url)
    port = (one.port or PORTS.get(one.scheme)) == (two.port or PORTS.get(two.scheme))
    path = one.path.rstrip("/")
    rest = two.path[len(path) :] if two.path.startswith(path) else None
    return (one.scheme, one.hostname) == (two.scheme, two.hostname) and port and rest is not None and rest[:1] in ("", "/")


def check_url(url: str) -> None:
    """Raises `Denied` for what no host fetches."""
    parts = urlsplit(url)
    reason = None
    if len(url) > 4096:
        reason = "longer than 4096 bytes"
    elif parts.scheme not in SCHEMES:
        reason = "use https:, file:, s3:, gs: or az:"
    elif parts.scheme == "file" and parts.netloc:
        reason = "a file: URL names no host"
    elif parts.scheme != "file" and not parts.hostname:
        reason = "it names no host"
    elif parts.username or parts.password:
        reason = "credentials do not belong in a URL; name a secret"
    elif any(code in parts.path.lower() for code in ("%2f", "%5c", "%00")):
        reason = "an encoded `/`, `\\` or NUL in the path"
    elif any(segment.lower().replace("%2e", ".") in (".", "..") for segment in parts.path.split("/")):
        reason = "a `.` or `..` segment in the path"
    if reason:
        raise Denied(f"`{url[:200]}` cannot be fetched: {reason}")
