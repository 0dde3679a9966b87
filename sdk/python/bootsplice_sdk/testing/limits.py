"""What one run may use, as on a real host, and what it has used up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Literal, TypeVar

from ..contract import Err, types
from ..errors import Denied, Error, QuotaExceeded

F = TypeVar("F", bound=Callable[..., Any])
Phase = Literal["pure", "resolve", "generate"]


@dataclass(frozen=True)
class Limits:
    output_bytes: int = 4 << 30
    output_entries: int = 100_000
    log_bytes: int = 1 << 20
    fetches: int = 8192
    fetch_bytes: int = 4 << 30
    handles: int = 4096
    scratch_bytes: int = 8 << 30
    """Bytes of blobs that the generator makes in all."""
    cache_bytes: int = 1 << 30


@dataclass
class Run:
    """One call of a generator."""

    phase: Phase
    limits: Limits
    grants: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    """Names that stand in the step's configuration."""
    pins: dict[str, Any] = field(default_factory=dict)
    """In `generate`: what the lock file pins, by digest."""
    used: dict[str, int] = field(default_factory=dict)
    broken: QuotaExceeded | None = None

    def only_in(self, what: str, *phases: Phase) -> None:
        if self.phase not in phases:
            raise Denied(f"{what} cannot be used in this phase ({self.phase.title()})")

    def take(self, quota: str, kind: str, amount: int = 1) -> None:
        """Counts `amount` against the limit `kind`; past it the run has failed."""
        total = self.used.get(kind, 0) + amount
        if total > getattr(self.limits, kind):
            self.broken = self.broken or QuotaExceeded(quota)
            raise QuotaExceeded(quota)
        self.used[kind] = total


class Answer(Err[types.Error]):
    """An `Err` that test runners may write to: they clean its traceback."""

    __setattr__ = Exception.__setattr__  # type: ignore[assignment]


def answers(function: F) -> F:
    """A function of the fake host: its errors go to the generator as the contract's."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except Error as error:
            raise Answer(error.to_contract()) from None

    return call  # type: ignore[return-value]


TARGET = types.Target(types.OsFamily.LINUX, "debian", "bookworm", "amd64", "base", 1_700_000_000, ["edit-v1", "user-units"])
