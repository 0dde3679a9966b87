"""What people see while the work runs."""

from __future__ import annotations

import io

from .contract import job


class Log:
    """`log.info("read", users=12)`. At most 1 MiB a run; what is dropped is counted, and nothing blocks."""

    def trace(self, message: str, **fields: object) -> None:
        _log(job.Level.TRACE, message, fields)

    def debug(self, message: str, **fields: object) -> None:
        _log(job.Level.DEBUG, message, fields)

    def info(self, message: str, **fields: object) -> None:
        _log(job.Level.INFO, message, fields)

    def warn(self, message: str, **fields: object) -> None:
        _log(job.Level.WARN, message, fields)

    def error(self, message: str, **fields: object) -> None:
        _log(job.Level.ERROR, message, fields)


log = Log()


def progress(stage: str, done: int, total: int | None = None) -> None:
    job.progress(stage, done, total)


def is_cancelled() -> bool:
    """The host interrupts anyhow; this allows a tidy stop."""
    return job.is_cancelled()


class Lines(io.TextIOBase):
    """Standard output and error of a component: whole lines become messages of the log."""

    def __init__(self, level: job.Level) -> None:
        self.level, self.partial = level, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.partial = (self.partial + text).split("\n")
        for line in filter(None, lines):
            job.log(self.level, line, [])
        return len(text)


def _log(level: job.Level, message: str, fields: dict[str, object]) -> None:
    job.log(level, message, [(name, str(value)) for name, value in fields.items()])
