"""What an author writes: a class with four methods."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from .blob import Blob
from .contract import generator, plugin_info, types
from .errors import Diagnostic
from .fetch import Pin, open_pin
from .sink import Sink

Stage = Literal["files", "packages", "late"]
OsFamily = Literal["linux", "windows", "bsd", "other"]
C = TypeVar("C")


@dataclass(frozen=True)
class Descriptor:
    """What a generator is. Shown to people, checked by the host when the component is installed."""

    id: str
    """`[a-z0-9-]{1,40}`; what `use:` names in a profile."""
    version: str
    """Semantic version."""
    title: str
    summary: str
    schema: str
    """JSON Schema 2020-12 of the configuration, as text."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Title to configuration, as JSON text; each valid against the schema."""
    stage: Stage = "files"
    os_families: Sequence[OsFamily] = ("linux",)
    fetch: Sequence[str] = ()
    """Prefixes that `resolve` wants: `https://example.com/`, or `${config:/sources/*/url}`. The operator grants."""
    secrets: Sequence[str] = ()
    """JSON pointers in the configuration where names of secrets stand."""
    joins_steps: bool = False

    def raw(self) -> plugin_info.Descriptor:
        return plugin_info.Descriptor(
            self.id, self.version, self.title, self.summary,
            [types.OsFamily[name.upper()] for name in self.os_families],
            plugin_info.StepStage[self.stage.upper()],
            plugin_info.CapabilityRequest(list(self.fetch), list(self.secrets)),
            self.schema,
            [plugin_info.Example(title, config) for title, config in self.examples.items()],
            self.joins_steps,
        )


@dataclass(frozen=True)
class Target:
    """Whom the content is for, as far as that may be shared between launches."""

    os: OsFamily
    distro: str
    release: str
    arch: str
    insertion_point: str
    source_date_epoch: int
    """The job's only clock, in seconds since 1970."""
    features: list[str]

    @classmethod
    def of(cls, raw: types.Target) -> Target:
        family = typing.cast(OsFamily, raw.os.name.lower())
        return cls(family, raw.distro, raw.release, raw.arch, raw.insertion_point, raw.source_date_epoch, list(raw.features))


@dataclass(frozen=True)
class Instance:
    """One launch's own half. Given to `generate` only where the lock file says `needs_instance`."""

    id: str
    profile: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class LockFile:
    """What `resolve` decided."""

    max_output: int
    """Upper bound of the bytes that `generate` will write besides the pins: see `bootsplice_sdk.max_output`."""
    pins: Sequence[Pin] = ()
    state: Blob | None = None
    """Handed back to `generate`."""
    fresh_for_s: int | None = None
    needs_instance: bool = False
    """Run `generate` once per launch and give it the instance."""

    def raw(self) -> generator.LockFile:
        state = self.state.raw if self.state else None
        pins = [pin.raw() for pin in self.pins]
        return generator.LockFile(pins, state, self.fresh_for_s, self.needs_instance, self.max_output)


@dataclass(frozen=True)
class Locked:
    """A lock file on its way back."""

    pins: list[Pin]
    state: Blob | None

    def open(self, name: str) -> Blob:
        """The bytes of the pin called `name`."""
        return open_pin(self.pins, name)

    @classmethod
    def of(cls, raw: generator.Locked) -> Locked:
        return cls([Pin.of(pin) for pin in raw.pins], Blob(raw.state) if raw.state else None)


@dataclass(frozen=True)
class Summary:
    notes: Sequence[str] = ()
    """For people."""
    reboot_required: bool = False


class Generator(Generic[C]):
    """Turns one step's configuration into content. `class Motd(Generator[Config])` is given its configuration as `Config`.

    Each call is a fresh instance of the component: nothing is kept between them but the lock file.
    """

    config_type: ClassVar[Any] = dict

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        for base in getattr(cls, "__orig_bases__", ()):
            if typing.get_origin(base) is Generator:
                (cls.config_type,) = typing.get_args(base)

    def describe(self) -> Descriptor:
        """Id, schema, examples, what it asks for. Pure."""
        raise NotImplementedError

    def validate(self, target: Target | None, config: C) -> Iterable[Diagnostic]:
        """What the schema cannot say: every finding at once. Pure, and without a target while a profile is saved."""
        return ()

    def resolve(self, target: Target, config: C, previous: Locked | None) -> LockFile:
        """Decides every artefact. The only call with a network. The configuration has no error that `validate` finds."""
        raise NotImplementedError

    def generate(self, target: Target, config: C, locked: Locked, instance: Instance | None, sink: Sink) -> Summary | None:
        """Writes the content from what the lock file names. The same inputs give the same bytes."""
        raise NotImplementedError
