"""The component around a generator: configurations in, exceptions out as the contract's errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, TypeVar

from . import config
from .contract import Err, archive, generator, job, plugin_info, types
from .errors import ConfigError, Diagnostic, Error
from .generator import Generator, Instance, Locked, Summary, Target
from .sink import Sink

T = TypeVar("T")
_NOT_THEIRS = tuple(os.path.join(os.path.dirname(file), "") for file in (__file__, os.__file__))
"""Directories of the SDK and of Python itself."""


def component(author: type[Generator[Any]]) -> tuple[type, type]:
    """The classes `PluginInfo` and `Generator` that componentize-py looks for."""

    class Info:
        def describe(self) -> plugin_info.Descriptor:
            # `describe` has no error to answer: what the log says is all that people get besides the trap.
            return _reported(lambda: author().describe().raw())

        def validate(self, target: types.Target | None, text: str) -> list[types.Diagnostic]:
            try:
                whom = Target.of(target) if target else None
                findings = list(author().validate(whom, config.read(author.config_type, text)))
            except ConfigError as error:
                findings = error.findings
            except Exception as error:  # noqa: BLE001
                findings = [Diagnostic("", _tell(error), "generator-fault")]
            return [finding.to_contract() for finding in findings]

    class Work:
        def resolve(self, target: types.Target, text: str, previous: generator.Locked | None) -> generator.LockFile:
            def work() -> generator.LockFile:
                made, whom, settings = _accept(author, target, text)
                return made.resolve(whom, settings, Locked.of(previous) if previous else None).raw()

            return _answered(work)

        def generate(self, target: types.Target, text: str, pinned: generator.Locked, who: types.Instance | None,
                     dest: archive.Sink) -> generator.Summary:
            def work() -> generator.Summary:
                made, whom, settings = _accept(author, target, text)
                instance = Instance(who.id, who.profile, dict(who.attributes)) if who else None
                summary = made.generate(whom, settings, Locked.of(pinned), instance, Sink(dest)) or Summary()
                return generator.Summary(list(summary.notes), summary.reboot_required)

            return _answered(work)

    return Info, Work


def _accept(author: type[Generator[Any]], target: types.Target, text: str) -> tuple[Generator[Any], Target, Any]:
    """`resolve` and `generate` may run on a configuration that was never validated."""
    made, whom = author(), Target.of(target)
    settings = config.read(author.config_type, text)
    errors = [finding for finding in made.validate(whom, settings) if finding.severity == "error"]
    if errors:
        raise ConfigError.of(errors)
    return made, whom, settings


def _answered(work: Callable[[], T]) -> T:
    try:
        return work()
    except Error as error:
        raw = error.to_contract()
    except Exception as error:  # noqa: BLE001
        raw = types.Error_Fault(_tell(error))
    # Here the exception and its frames, which may hold handles, are gone.
    raise Err(raw)


def _reported(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:
        _tell(error)
        raise


def _tell(error: BaseException) -> str:
    """`users.py:42: ValueError: text`: the innermost line of the author's own code. The whole stack goes to the log.

    Not by `traceback`, which looks for source files and imports as it goes: a component has neither.
    """
    words = f"{type(error).__name__}: {error}"
    frames, at = [], error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        frames.append((code.co_filename, at.tb_lineno, code.co_name))
        at = at.tb_next
    job.log(job.Level.ERROR, words, [])
    for filename, line, name in reversed(frames):
        job.log(job.Level.ERROR, f"    at {name} ({filename}:{line})", [])
    if not frames:
        return words
    own = [frame for frame in frames if _is_own(frame[0])]
    filename, line, _ = (own or frames)[-1]
    return f"{PurePath(filename).name}:{line}: {words}"


def _is_own(filename: str) -> bool:
    return not filename.startswith(("<", *_NOT_THEIRS))
