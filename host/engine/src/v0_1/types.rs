//! `types`: errors on their way to the guest.

use super::bindings::bootsplice::generator::types;
use super::convert::to_guest_diagnostic;
use crate::contract::Quota;
use crate::error::GeneratorError;
use crate::run::Run;
use crate::trust::Distrust;

impl types::Host for Run {
    /// What the guest may handle becomes the contract's variant. A fault of the host ends the run: no guest can mend a full disk.
    fn convert_error(&mut self, error: GeneratorError) -> wasmtime::Result<types::Error> {
        Ok(match error {
            GeneratorError::InvalidConfig(found) => {
                types::Error::InvalidConfig(found.into_iter().map(to_guest_diagnostic).collect())
            }
            GeneratorError::Unsatisfiable(why) => types::Error::Unsatisfiable(why),
            GeneratorError::NotFound(what) => types::Error::NotFound(what),
            GeneratorError::Denied(why) => types::Error::Denied(why),
            GeneratorError::Integrity {
                expected,
                actual,
                url,
            } => types::Error::Integrity(types::Mismatch {
                expected: expected.to_string(),
                actual: actual.to_string(),
                url,
            }),
            GeneratorError::Untrusted(rejection) => types::Error::Untrusted(types::Rejection {
                reason: to_guest_distrust(rejection.reason),
                message: rejection.message,
            }),
            GeneratorError::Quota { quota, .. } => {
                types::Error::QuotaExceeded(to_guest_quota(quota))
            }
            GeneratorError::Upstream {
                message,
                retry_after,
            } => types::Error::Upstream(types::Failure {
                message,
                retry_after_ms: retry_after
                    .map(|wait| u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)),
            }),
            GeneratorError::Unsupported(what) => types::Error::Unsupported(what),
            GeneratorError::Cancelled => types::Error::Cancelled,
            GeneratorError::Fault(why) => types::Error::Fault(why),
            error @ (GeneratorError::Trap { .. }
            | GeneratorError::Timeout { .. }
            | GeneratorError::MemoryLimit { .. }
            | GeneratorError::Host(_)
            | GeneratorError::Replay { .. }) => return Err(wasmtime::Error::from(error)),
        })
    }
}

fn to_guest_distrust(reason: Distrust) -> types::Distrust {
    match reason {
        Distrust::Missing => types::Distrust::Missing,
        Distrust::UnknownKey => types::Distrust::UnknownKey,
        Distrust::Bad => types::Distrust::Bad,
        Distrust::Weak => types::Distrust::Weak,
        Distrust::ExpiredKey => types::Distrust::ExpiredKey,
        Distrust::RevokedKey => types::Distrust::RevokedKey,
        Distrust::Expired => types::Distrust::Expired,
        Distrust::FromTheFuture => types::Distrust::FromTheFuture,
        Distrust::UnsignedBytes => types::Distrust::UnsignedBytes,
        Distrust::Malformed => types::Distrust::Malformed,
    }
}

fn to_guest_quota(quota: Quota) -> types::Quota {
    match quota {
        Quota::Memory => types::Quota::Memory,
        Quota::Time => types::Quota::Time,
        Quota::FetchCount => types::Quota::FetchCount,
        Quota::FetchBytes => types::Quota::FetchBytes,
        Quota::OutputBytes => types::Quota::OutputBytes,
        Quota::OutputEntries => types::Quota::OutputEntries,
        Quota::LogBytes => types::Quota::LogBytes,
        Quota::CacheBytes => types::Quota::CacheBytes,
        Quota::Handles => types::Quota::Handles,
    }
}
