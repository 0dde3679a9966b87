"""Everything that leaves the sandbox: GET by the host, within the step's grants. In `generate` only what the lock file pins."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .blob import Blob
from .contract import Err, fetch, generator
from .errors import NotFound, from_contract, host_call

MAX_SIZE = 4 << 30


@dataclass(frozen=True)
class Request:
    urls: list[str]
    sha256: str | None = None
    """`sha256:` and 64 hex digits. Required in `generate`."""
    size: int | None = None
    max_size: int = MAX_SIZE
    credential: str | None = None
    """Name of a secret granted to the step; the host adds the header."""
    max_age: int | None = None
    """For what is not pinned: the oldest cached copy that will do, in seconds."""

    def raw(self) -> fetch.Request:
        digest = self.sha256 if self.sha256 is None or ":" in self.sha256 else f"sha256:{self.sha256}"
        return fetch.Request(self.urls, digest, self.size, self.max_size, self.credential, self.max_age)


@dataclass(frozen=True)
class Response:
    content: Blob
    final_url: str
    etag: str | None
    from_cache: bool


@dataclass(frozen=True)
class Source:
    """Where one artefact comes from, as configurations write it: `{"url": …, "sha256": …, "credential": …}`."""

    url: str
    sha256: str | None = None
    """Without it the digest is pinned when the step is resolved."""
    credential: str | None = None


@dataclass(frozen=True)
class Pin:
    """An artefact in the lock file."""

    name: str
    urls: list[str]
    digest: str
    size: int
    version: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    def raw(self) -> generator.Pin:
        attributes = list(self.attributes.items())
        return generator.Pin(self.name, self.version, self.urls, self.digest, self.size, attributes)

    @classmethod
    def of(cls, raw: generator.Pin) -> Pin:
        return cls(raw.name, list(raw.urls), raw.digest, raw.size, raw.version, dict(raw.attributes))


def get(url: str | Request, sha256: str | None = None, max_size: int = MAX_SIZE, *, credential: str | None = None,
        max_age: int | None = None) -> Response:
    request = url if isinstance(url, Request) else Request([url], sha256, None, max_size, credential, max_age)
    with host_call():
        return _response(fetch.get(request.raw()), request)


def get_all(requests: Iterable[Request]) -> list[Response]:
    """In parallel; answers in the order asked. Raises the first failure."""
    wanted = list(requests)
    answers = fetch.get_all([request.raw() for request in wanted])
    responses = []
    for request, answer in zip(wanted, answers, strict=True):
        if isinstance(answer, Err):
            raise from_contract(answer.value)
        responses.append(_response(answer.value, request))
    return responses


def pin(name: str, source: Source) -> tuple[Pin, Blob]:
    """Fetches a source in `resolve`: its pin for the lock file, and its bytes."""
    content = get(source.url, source.sha256, credential=source.credential).content
    attributes = {"credential": source.credential} if source.credential else {}
    return Pin(name, [source.url], content.digest, content.size, attributes=attributes), content


def open_pin(pins: Iterable[Pin], name: str) -> Blob:
    """The bytes of the pin called `name`."""
    for each in pins:
        if each.name == name:
            credential = each.attributes.get("credential")
            return get(Request(each.urls, each.digest, each.size, each.size, credential)).content
    raise NotFound(f"the lock file has no pin `{name}`: it was made for another configuration; resolve again")


def _response(raw: fetch.Response, request: Request) -> Response:
    content = Blob(raw.content, pinned=request.sha256 is not None)
    return Response(content, raw.final_url, raw.etag, raw.from_cache)
