"""What can go wrong, as exceptions: one class for each case of the contract's `error`.

Raise one and the host reports that case. Any other exception reaches the host as `fault`, with file, line and message.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .contract import Err, types

Severity = Literal["hint", "warning", "error"]


@dataclass(frozen=True)
class Diagnostic:
    """A finding about the configuration, for the person who wrote it."""

    pointer: str
    """JSON Pointer (RFC 6901); "" is the whole document."""
    message: str
    code: str = "invalid-value"
    """Stable, kebab-case."""
    hint: str | None = None
    """What to do about it."""
    severity: Severity = "error"

    def to_contract(self) -> types.Diagnostic:
        severity = types.Severity[self.severity.upper()]
        return types.Diagnostic(severity, self.pointer, self.code, self.message, self.hint)

    @classmethod
    def from_contract(cls, raw: types.Diagnostic) -> Diagnostic:
        severity: Severity = raw.severity.name.lower()  # type: ignore[assignment]
        return cls(raw.pointer, raw.message, raw.code, raw.hint, severity)


class Error(Exception):
    """Base of all errors that the contract names."""

    def to_contract(self) -> types.Error:
        raise NotImplementedError


class ConfigError(Error):
    """The configuration is at fault: `ConfigError("/users/0/name", "no such user")`."""

    def __init__(
        self, pointer: str, message: str, *, code: str = "invalid-value", hint: str | None = None
    ) -> None:
        super().__init__(f"{pointer or '(document)'}: {message}")
        self.findings: list[Diagnostic] = [Diagnostic(pointer, message, code, hint)]

    @classmethod
    def of(cls, findings: Iterable[Diagnostic]) -> ConfigError:
        """Several findings at once; at least one."""
        every = list(findings)
        error = cls(every[0].pointer, every[0].message)
        error.findings = every
        return error

    def to_contract(self) -> types.Error:
        return types.Error_InvalidConfig([finding.to_contract() for finding in self.findings])


class Unsatisfiable(Error):
    """The wishes contradict each other; the message derives how."""

    def to_contract(self) -> types.Error:
        return types.Error_Unsatisfiable(str(self))


class NotFound(Error):
    def to_contract(self) -> types.Error:
        return types.Error_NotFound(str(self))


class Denied(Error):
    """Policy said no: a host, a secret, a path, the phase."""

    def to_contract(self) -> types.Error:
        return types.Error_Denied(str(self))


class Integrity(Error):
    """Bytes are not what was promised."""

    def __init__(self, expected: str, actual: str, url: str) -> None:
        super().__init__(f"{url} gave {actual}, but {expected} was promised")
        self.expected, self.actual, self.url = expected, actual, url

    def to_contract(self) -> types.Error:
        return types.Error_Integrity(types.Mismatch(self.expected, self.actual, self.url))


class Untrusted(Error):
    """Bytes are not signed as they must be. `reason` is a name such as `unknown-key`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def to_contract(self) -> types.Error:
        reason = types.Distrust[self.reason.upper().replace("-", "_")]
        return types.Error_Untrusted(types.Rejection(reason, str(self)))


class QuotaExceeded(Error):
    """A limit of the run was reached. The run has failed, whatever is made of this. `quota` is a name such as `output-bytes`."""

    def __init__(self, quota: str) -> None:
        super().__init__(f"the limit on {quota} was reached")
        self.quota = quota

    def to_contract(self) -> types.Error:
        return types.Error_QuotaExceeded(types.Quota[self.quota.upper().replace("-", "_")])


class Upstream(Error):
    """The network or a repository failed. Without `retry_after_ms`, trying again cannot help."""

    def __init__(self, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms

    def to_contract(self) -> types.Error:
        return types.Error_Upstream(types.Failure(str(self), self.retry_after_ms))


class Unsupported(Error):
    def to_contract(self) -> types.Error:
        return types.Error_Unsupported(str(self))


class Cancelled(Error):
    def to_contract(self) -> types.Error:
        return types.Error_Cancelled()


class Fault(Error):
    """The generator itself is at fault."""

    def to_contract(self) -> types.Error:
        return types.Error_Fault(str(self))


def _name(member: types.Quota | types.Distrust) -> str:
    return member.name.lower().replace("_", "-")


def from_contract(raw: types.Error) -> Error:
    """The exception for a case that the host answered."""
    match raw:
        case types.Error_InvalidConfig(findings):
            return ConfigError.of(Diagnostic.from_contract(finding) for finding in findings)
        case types.Error_Unsatisfiable(text):
            return Unsatisfiable(text)
        case types.Error_NotFound(text):
            return NotFound(text)
        case types.Error_Denied(text):
            return Denied(text)
        case types.Error_Integrity(value):
            return Integrity(value.expected, value.actual, value.url)
        case types.Error_Untrusted(value):
            return Untrusted(_name(value.reason), value.message)
        case types.Error_QuotaExceeded(quota):
            return QuotaExceeded(_name(quota))
        case types.Error_Upstream(value):
            return Upstream(value.message, value.retry_after_ms)
        case types.Error_Unsupported(text):
            return Unsupported(text)
        case types.Error_Cancelled():
            return Cancelled("cancelled")
        case types.Error_Fault(text):
            return Fault(text)
    raise TypeError(f"{raw!r} is no error of the contract")


class host_call:
    """Turns what a call of the host raises into the classes above: `with host_call(): …`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Err):
            raise from_contract(error.value) from None
