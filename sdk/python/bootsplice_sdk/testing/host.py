"""A host for unit tests: runs a generator on CPython through the same calls, checks and errors, without a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from ..component import component
from ..contract import Err, blobs, cache, fetch, generator, inventory, job, trust, types
from ..errors import ConfigError, Diagnostic, Error, Fault, Unsupported, from_contract
from ..generator import Generator
from ..pointer import select
from .archive import FakeSink, Step, _KNOWN, _PLACEHOLDER
from .blobs import FakeBlob, FakeBuilder
from .fetching import Web, meet, wishes
from .limits import TARGET, Limits, Phase, Run, answers

MAX_ENTRIES_LOGGED = 20_000


@dataclass(frozen=True)
class Line:
    level: str
    message: str
    fields: dict[str, str]


@dataclass
class Lock:
    """What `resolve` answered, as the host keeps it."""

    pins: list[generator.Pin]
    state: bytes | None
    max_output: int
    needs_instance: bool
    fresh_for_s: int | None


@dataclass
class Host:
    """`Host(files={"https://example.com/team.csv": b"…"}).launch(Users, {...})`.

    `files` is the network: URL to bytes, or to an error such as `Upstream("down")`. `grants` are URL prefixes that the operator gave; by
    default the URLs of `files`. A step may fetch what is granted and what its descriptor asks for.
    """

    files: dict[str, bytes | Error] = field(default_factory=dict)
    grants: Iterable[str] | None = None
    secrets: set[str] = field(default_factory=set)
    """Names of secrets that the tenant owns."""
    inventory: dict[str, bytes] = field(default_factory=dict)
    limits: Limits = Limits()
    target: types.Target = field(default_factory=lambda: TARGET)
    log: list[Line] = field(default_factory=list)
    cached: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    """URLs asked for so far."""

    def describe(self, author: type[Generator[Any]]) -> Any:
        """The descriptor, with its schema and examples checked as at an installation."""
        info, _ = component(author)
        with self._run(Run("pure", Limits(fetches=0, output_bytes=0)), set()):
            made = info().describe()
        schema = json.loads(made.config_schema)
        for example in made.examples:
            if fault := _schema_fault(schema, json.loads(example.config)):
                raise Fault(f"the example `{example.title}` is not valid against the schema: {fault}")
        return made

    def validate(self, author: type[Generator[Any]], config: Any, target: types.Target | None = None) -> list[Diagnostic]:
        """Findings: of the schema, if there are any and `jsonschema` is installed, else the generator's."""
        if fault := _schema_fault(json.loads(self.describe(author).config_schema), config):
            return [fault]
        info, _ = component(author)
        with self._run(Run("pure", Limits(fetches=0, output_bytes=0)), set()):
            found = info().validate(target, json.dumps(config))
        return [Diagnostic.from_contract(finding) for finding in found]

    def resolve(self, author: type[Generator[Any]], config: Any, previous: Lock | None = None) -> Lock:
        _, work = component(author)
        run = self._new("resolve", author, config)
        with self._run(run, self._granted(author, config)):
            answer = _called(work().resolve, self.target, json.dumps(config), previous and self._locked(run, previous))
            state = answer.state.data if answer.state else None
        if run.broken:
            raise run.broken
        return Lock(answer.pins, state, answer.max_output, answer.needs_instance, answer.fresh_for_s)

    def generate(self, author: type[Generator[Any]], config: Any, lock: Lock, instance: types.Instance | None = None) -> Step:
        _, work = component(author)
        run = self._new("generate", author, config)
        run.pins = {pin.digest: pin for pin in lock.pins}
        run.secrets = set(self._named(author, config))
        sink = FakeSink(run)
        who = (instance or types.Instance("i-1", "test", [])) if lock.needs_instance else None
        with self._run(run, self._granted(author, config)):
            summary = _called(work().generate, self.target, json.dumps(config), self._locked(run, lock), who, sink)
        step = sink.finish()
        pinned = sum(pin.size for pin in lock.pins)
        if run.used.get("output_bytes", 0) > lock.max_output + pinned:
            raise Fault(f"{run.used['output_bytes']} bytes were written; the lock file said {lock.max_output} besides the pins")
        step.notes, step.reboot_required = list(summary.notes), summary.reboot_required
        return step

    def launch(self, author: type[Generator[Any]], config: Any, instance: types.Instance | None = None) -> Step:
        """All four calls, in the host's order."""
        errors = [finding for finding in self.validate(author, config, self.target) if finding.severity == "error"]
        if errors:
            raise ConfigError.of(errors)
        return self.generate(author, config, self.resolve(author, config), instance)

    def _new(self, phase: Phase, author: type[Generator[Any]], config: Any) -> Run:
        wanted = wishes(self.describe(author).capabilities.fetch, config)
        given = self.files.keys() if self.grants is None else self.grants
        met = [meet(grant, wish) for grant in given for wish in wanted]
        return Run(phase, self.limits, [grant for grant in met if grant])

    def _named(self, author: type[Generator[Any]], config: Any) -> Iterator[str]:
        yield from self._granted(author, config)
        for hole in _PLACEHOLDER.finditer(json.dumps(config)):
            if _KNOWN.fullmatch(hole[1]) and hole[1].startswith("secret:"):
                yield hole[1][7:]

    def _granted(self, author: type[Generator[Any]], config: Any) -> set[str]:
        pointers = self.describe(author).capabilities.secrets
        return {name for at in pointers for name in select(config, at) if isinstance(name, str)}

    def _locked(self, run: Run, lock: Lock) -> generator.Locked:
        state = FakeBlob(run, lock.state) if lock.state is not None else None
        return generator.Locked(lock.pins, state)  # type: ignore[arg-type]

    @contextmanager
    def _run(self, run: Run, granted: set[str]) -> Iterator[None]:
        """Puts the fake in the place of the contract's functions."""
        web = Web(run, self.files, self.secrets, granted)
        functions: list[tuple[Any, Mapping[str, Any]]] = [
            (fetch, {"get": web.get, "get_all": web.get_all}),
            (blobs, {"BlobBuilder": lambda: FakeBuilder(run)}),
            (job, {"log": self._logger(run), "progress": lambda *_: None, "is_cancelled": lambda: False}),
            (inventory, self._inventory(run)),
            (cache, self._cache(run)),
            (trust, {"verify": _no_trust, "seen": _no_trust}),
        ]
        patches = [mock.patch.multiple(module, **named) for module, named in functions]
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()
            self.fetched += web.asked

    def _logger(self, run: Run) -> Any:
        def log(level: job.Level, message: str, fields: list[tuple[str, str]]) -> None:
            cost = len(message.encode()) + sum(len(name) + len(value) for name, value in fields)
            if run.used.get("log_bytes", 0) + cost <= self.limits.log_bytes and len(self.log) < MAX_ENTRIES_LOGGED:
                run.take("log-bytes", "log_bytes", cost)
                self.log.append(Line(level.name.lower(), message, dict(fields)))

        return log

    def _inventory(self, run: Run) -> dict[str, Any]:
        def read_file(name: str) -> FakeBlob | None:
            known = run.phase == "resolve" and name in self.inventory
            return FakeBlob(run, self.inventory[name]) if known else None

        return {"read_file": read_file, "list_files": lambda: sorted(self.inventory) if run.phase == "resolve" else []}

    def _cache(self, run: Run) -> dict[str, Any]:
        def get(key: str) -> FakeBlob | None:
            known = run.phase == "resolve" and key in self.cached
            return FakeBlob(run, self.cached[key]) if known else None

        @answers
        def put(key: str, value: FakeBlob, ttl_s: int | None) -> None:
            run.only_in("the cache", "resolve")
            run.take("cache-bytes", "cache_bytes", value.size())
            self.cached[key] = value.data

        return {"get": get, "put": put}


@answers
def _no_trust(*_: Any) -> None:
    raise Unsupported("the fake host verifies no signatures: test that against a real one")


def _called(call: Any, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except Err as error:
        answered = from_contract(error.value)
    # Outside the handler: test runners write to an exception's context, and `Err` is frozen.
    raise answered


def _schema_fault(schema: Any, config: Any) -> Diagnostic | None:
    try:
        import jsonschema  # type: ignore[import-untyped]
    except ImportError:
        return None
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(config))
    if error is None:
        return None
    from ..pointer import pointer

    return Diagnostic(pointer(*error.absolute_path), error.message, "schema")
