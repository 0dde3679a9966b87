//! Reports from guests: the token a launch carries for them, and their body (RFC 0005).
//!
//! A token is `bsr_<tenant>.<launch>.<expiry>.<mac>`: it names its launch, ends by itself, and nothing about it is stored. Only `POST /v1/reports` takes it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use time::OffsetDateTime;

const PREFIX: &str = "bsr_";
/// A report larger than this is refused: a thousand steps with their output tails fit.
pub const MAX_REPORT: usize = 4 << 20;

/// Makes and checks report tokens with the host's own key.
#[derive(Clone)]
pub struct ReportTokens {
    key: [u8; 32],
}

/// Whom a good token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    pub tenant: String,
    pub launch: String,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("this is not a report token of this host")]
    Forged,
    #[error("the report token has expired")]
    Expired,
}

/// What a guest reports, as design section 2 shows it.
#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    pub launch: String,
    /// Rises with each report of the launch; one not above the last is ignored.
    pub sequence: u64,
    pub result: ReportResult,
    pub steps: Vec<StepReport>,
    /// The guest's `/proc/sys/kernel/random/boot_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReportResult {
    /// Some stages are done; others follow.
    Running,
    Applied,
    /// Applied, and at least one step failed under the policy `warn`, or a service of its packages did not come up.
    Degraded,
    Failed,
}

#[derive(Clone, Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepReport {
    pub id: String,
    /// `ok`, `failed`, `skipped`, `unchanged`.
    pub result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

// === impl ReportTokens ===

impl ReportTokens {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The token of one launch. The same arguments give the same token, so a restarted host writes the same archive.
    pub fn issue(&self, tenant: &str, launch: &str, expires: OffsetDateTime) -> String {
        let claim = format!("{tenant}.{launch}.{}", expires.unix_timestamp());
        let mac = URL_SAFE_NO_PAD.encode(self.mac(&claim).finalize().into_bytes());
        format!("{PREFIX}{claim}.{mac}")
    }

    pub fn check(&self, token: &str, now: OffsetDateTime) -> Result<Reporter, TokenError> {
        let rest = token.strip_prefix(PREFIX).ok_or(TokenError::Forged)?;
        let (claim, mac) = rest.rsplit_once('.').ok_or(TokenError::Forged)?;
        let mac = URL_SAFE_NO_PAD
            .decode(mac)
            .map_err(|_| TokenError::Forged)?;
        self.mac(claim)
            .verify_slice(&mac)
            .map_err(|_| TokenError::Forged)?;
        let mut parts = claim.rsplitn(3, '.');
        let (Some(expires), Some(launch), Some(tenant)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Forged);
        };
        let expires: i64 = expires.parse().map_err(|_| TokenError::Forged)?;
        if now.unix_timestamp() > expires {
            return Err(TokenError::Expired);
        }
        Ok(Reporter {
            tenant: tenant.to_owned(),
            launch: launch.to_owned(),
        })
    }

    fn mac(&self, claim: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(b"bootsplice report token v1\0");
        mac.update(claim.as_bytes());
        mac
    }
}

impl fmt::Debug for ReportTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReportTokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    #[test]
    fn a_token_speaks_for_its_launch_until_it_expires() {
        let tokens = ReportTokens::new([7; 32]);
        let token = tokens.issue("acme.eu", "01JD", NOW);
        let reporter = tokens.check(&token, NOW).unwrap();
        assert_eq!(
            (reporter.tenant.as_str(), reporter.launch.as_str()),
            ("acme.eu", "01JD")
        );
        assert_eq!(
            tokens.check(&token, NOW + time::Duration::seconds(1)),
            Err(TokenError::Expired)
        );
    }

    #[test]
    fn a_forged_token_is_refused() {
        let tokens = ReportTokens::new([7; 32]);
        let token = tokens.issue("acme", "01JD", NOW);
        let other = ReportTokens::new([8; 32]).issue("acme", "01JD", NOW);
        for forged in [
            &*other,
            &token.replace("acme", "evil"),
            &token.replace("01JD", "01JE"),
            &token[..token.len() - 1],
            "",
            "bsr_",
            "bsr_a.b.c",
        ] {
            assert_eq!(
                tokens.check(forged, NOW),
                Err(TokenError::Forged),
                "{forged}"
            );
        }
    }
}
