"""A generator for bootsplice: greets whoever logs in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bootsplice_sdk import (
    Descriptor, Diagnostic, Generator, Instance, Locked, LockFile, Sink, Target, max_output, resource,
)

SCHEMA = resource(__file__, "schema.json")
EXAMPLES = {"A greeting": '{"greeting": "Welcome to {{instance:id}}"}'}


@dataclass
class Config:
    """`with:` of a step. The same as in schema.json, by which the host checks it first."""

    greeting: str


class Plugin(Generator[Config]):
    def describe(self) -> Descriptor:
        return Descriptor(
            id="{{name}}",
            version="0.1.0",
            title="Greeting",
            summary="Greets whoever logs in.",
            schema=SCHEMA,
            examples=EXAMPLES,
        )

    def validate(self, target: Target | None, config: Config) -> Iterable[Diagnostic]:
        """What the schema cannot say."""
        if not config.greeting.strip():
            yield Diagnostic("/greeting", "the greeting is blank", "blank", "write one, or drop the step")

    def resolve(self, target: Target, config: Config, previous: Locked | None) -> LockFile:
        """Nothing is fetched, so there is nothing to pin."""
        return LockFile(max_output=max_output(lambda sink: write(config, sink)))

    def generate(self, target: Target, config: Config, locked: Locked, instance: Instance | None, sink: Sink) -> None:
        write(config, sink)


def write(config: Config, sink: Sink) -> None:
    # The host fills placeholders in per launch.
    sink.template("/etc/motd.d/{{name}}", config.greeting + "\n", format="plain")
