//! The keys of one call: what was given, merged, and which of it may sign.

use std::collections::BTreeSet;

use super::certificate::{self, Certificate, Part};
use super::{Distrust, Rejection};

/// Certificates of one call.
const MAX_CERTIFICATES: usize = 64;
/// Rules of one call.
const MAX_RULES: usize = 256;

/// A key that may sign, as apt's Signed-By has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeyRule {
    /// 40 or 64 hex digits, of a primary key or a subkey.
    pub fingerprint: String,
    /// Only this very key. Otherwise the signing subkeys of the primary key with this fingerprint may sign as well.
    pub exact: bool,
}

/// Keys that may sign.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Keyring {
    /// Certificates one after another, armoured or binary, at most 1 MiB.
    pub certificates: Vec<u8>,
    /// Which of them count; empty: all.
    pub allowed: Vec<KeyRule>,
}

/// All keyrings of a call together.
pub(super) struct Ring {
    certificates: Vec<Certificate>,
    /// (primary, key) fingerprints that may sign.
    allowed: BTreeSet<(String, String)>,
}

// === impl KeyRule ===

impl KeyRule {
    fn check(&self) -> Result<(), Rejection> {
        let digits = self.fingerprint.as_bytes();
        if matches!(digits.len(), 40 | 64) && digits.iter().all(u8::is_ascii_hexdigit) {
            return Ok(());
        }
        Err(Distrust::Malformed.because(format!(
            "`{}` is not a key's fingerprint of 40 or 64 hex digits",
            self.fingerprint.escape_default()
        )))
    }

    fn allows(&self, primary: &str, key: &str) -> bool {
        self.fingerprint.eq_ignore_ascii_case(key)
            || (!self.exact && self.fingerprint.eq_ignore_ascii_case(primary))
    }
}

// === impl Ring ===

impl Ring {
    /// Reads the keyrings. Copies of a certificate become one, so that what any of them says counts, a revocation above all.
    pub fn read(keyrings: &[Keyring]) -> Result<Self, Rejection> {
        let mut certificates: Vec<Certificate> = Vec::new();
        let mut allowed = BTreeSet::new();
        let rules: usize = keyrings.iter().map(|ring| ring.allowed.len()).sum();
        if rules > MAX_RULES {
            return Err(Distrust::Malformed.because(format!(
                "{rules} fingerprints are named, at most {MAX_RULES} are allowed"
            )));
        }
        for keyring in keyrings {
            keyring.allowed.iter().try_for_each(KeyRule::check)?;
            for certificate in certificate::read(&keyring.certificates)? {
                let primary = certificate.fingerprint();
                for (_, key) in certificate.parts() {
                    let rules = &keyring.allowed;
                    if rules.is_empty() || rules.iter().any(|rule| rule.allows(&primary, &key)) {
                        allowed.insert((primary.clone(), key));
                    }
                }
                match certificates
                    .iter_mut()
                    .find(|known| known.fingerprint() == primary)
                {
                    Some(known) => known.merge(certificate),
                    None => certificates.push(certificate),
                }
                if certificates.len() > MAX_CERTIFICATES {
                    return Err(Distrust::Malformed.because(format!(
                        "the keyrings hold more than {MAX_CERTIFICATES} certificates: name only those that may sign"
                    )));
                }
            }
        }
        Ok(Self {
            certificates,
            allowed,
        })
    }

    /// The keys that may sign.
    pub fn allowed(&self) -> impl Iterator<Item = (&Certificate, Part, String)> {
        self.certificates.iter().flat_map(move |certificate| {
            let primary = certificate.fingerprint();
            certificate
                .parts()
                .filter(move |(_, key)| self.allowed.contains(&(primary.clone(), key.clone())))
                .map(move |(part, key)| (certificate, part, key))
        })
    }
}
