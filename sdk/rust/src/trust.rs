//! OpenPGP signatures and the replay guard: the host verifies, with its own clock; a generator only names the keys. Only in `resolve`.
//!
//! Code that decides whom to trust is written against [`Notary`], so that it is tested without a host: with [`MockNotary`].
//!
//! ```no_run
//! use bootsplice_sdk::trust::{Host, Keyring, Notary};
//!
//! # fn example(in_release: bootsplice_sdk::blobs::Blob, key: Vec<u8>) -> Result<(), bootsplice_sdk::Error> {
//! let verified = Host.verify(&in_release, None, &[Keyring::of(key).allow("4D64FEC119C2029067D6E791F8D2585B8783D481!")?])?;
//! let release = verified.content.bytes(16 << 20)?; // the signed text, and nothing else
//! # Ok(())
//! # }
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::bindings::bootsplice::generator::blobs::Blob;
use crate::bindings::bootsplice::generator::trust;
use crate::bindings::bootsplice::generator::types::{Distrust, Error, Rejection};

pub use crate::bindings::bootsplice::generator::trust::{KeyRule, Keyring, Signature};

/// What was verified: the signed bytes, and who signed them.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<C> {
    /// The signed bytes and no others.
    pub content: C,
    /// The good signatures by allowed keys; at least one.
    pub signatures: Vec<Signature>,
}

/// Who verifies: the [`Host`], or a [`MockNotary`] in tests.
pub trait Notary {
    /// Bytes as they are handed around.
    type Content;

    /// Verifies a clearsigned message or, with `detached`, content against a signature file.
    fn verify(
        &self,
        content: &Self::Content,
        detached: Option<&Self::Content>,
        keyrings: &[Keyring],
    ) -> Result<Judged<Self::Content>, Error>;

    /// The highest value known for `key`; raised to `value` once this `resolve` has answered a lock file.
    fn seen(&self, key: &str, value: u64) -> Result<Option<u64>, Error>;
}

/// The host itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Host;

/// For tests: trusts what it was told to, and remembers like the host. It verifies nothing.
#[derive(Debug, Default)]
pub struct MockNotary {
    answers: BTreeMap<Vec<u8>, Result<Judged<Vec<u8>>, Error>>,
    seen: RefCell<BTreeMap<String, u64>>,
}

// === impl Keyring ===

impl Keyring {
    /// All certificates in `bytes`, armoured or binary.
    pub fn of(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            certificates: bytes.into(),
            allowed: Vec::new(),
        }
    }

    /// Lets only the keys count that rules name: `FINGERPRINT`, or `FINGERPRINT!` for exactly that key or subkey.
    pub fn allow(mut self, rule: &str) -> Result<Self, Error> {
        self.allowed.push(KeyRule::parse(rule)?);
        Ok(self)
    }
}

// === impl KeyRule ===

impl KeyRule {
    /// Reads a fingerprint of 40 or 64 hex digits as apt's Signed-By has it, with `!` behind it when no other key will do.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (digits, exact) = match text.strip_suffix('!') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        if !matches!(digits.len(), 40 | 64) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(Error::Unsupported(format!(
                "`{text}` is not a key's fingerprint: write its 40 or 64 hex digits, with `!` behind them when no other key will do"
            )));
        }
        Ok(Self {
            fingerprint: digits.to_ascii_uppercase(),
            exact,
        })
    }
}

// === impl Distrust ===

impl Distrust {
    /// The stable code that people see.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "signature-missing",
            Self::UnknownKey => "signature-unknown-key",
            Self::Bad => "signature-bad",
            Self::ExpiredKey => "signature-expired-key",
            Self::RevokedKey => "signature-revoked-key",
            Self::Weak => "signature-weak",
            Self::Expired => "signature-expired",
            Self::FromTheFuture => "signature-from-the-future",
            Self::UnsignedBytes => "signature-unsigned-bytes",
            Self::Malformed => "signature-malformed",
        }
    }
}

// === impl Host ===

impl Notary for Host {
    type Content = Blob;

    fn verify(
        &self,
        content: &Blob,
        detached: Option<&Blob>,
        keyrings: &[Keyring],
    ) -> Result<Judged<Blob>, Error> {
        let verified = trust::verify(content, detached, keyrings)?;
        Ok(Judged {
            content: verified.content,
            signatures: verified.signatures,
        })
    }

    fn seen(&self, key: &str, value: u64) -> Result<Option<u64>, Error> {
        trust::seen(key, value)
    }
}

// === impl MockNotary ===

impl MockNotary {
    /// Answers `judged` for `content`, whatever the keyrings.
    pub fn trusting(mut self, content: impl Into<Vec<u8>>, judged: Judged<Vec<u8>>) -> Self {
        self.answers.insert(content.into(), Ok(judged));
        self
    }

    /// Refuses `content` for `reason`.
    pub fn refusing(mut self, content: impl Into<Vec<u8>>, reason: Distrust) -> Self {
        let rejection = Rejection {
            reason,
            message: format!("the mock refuses it: {}", reason.code()),
        };
        self.answers
            .insert(content.into(), Err(Error::Untrusted(rejection)));
        self
    }
}

impl Notary for MockNotary {
    type Content = Vec<u8>;

    fn verify(
        &self,
        content: &Vec<u8>,
        _detached: Option<&Vec<u8>>,
        _keyrings: &[Keyring],
    ) -> Result<Judged<Vec<u8>>, Error> {
        self.answers.get(content).cloned().unwrap_or_else(|| {
            Err(Error::Untrusted(Rejection {
                reason: Distrust::Missing,
                message: "the mock was told nothing of these bytes".into(),
            }))
        })
    }

    fn seen(&self, key: &str, value: u64) -> Result<Option<u64>, Error> {
        let mut seen = self.seen.borrow_mut();
        let known = seen.get(key).copied();
        let raised = known.map_or(value, |known| known.max(value));
        seen.insert(key.to_owned(), raised);
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_rule_is_read_as_apt_writes_it() {
        let print = "4d64fec119c2029067d6e791f8d2585b8783d481";
        let rule = KeyRule::parse(&format!("{print}!")).unwrap();
        assert_eq!(rule.fingerprint, print.to_ascii_uppercase());
        assert!(rule.exact);
        assert!(!KeyRule::parse(print).unwrap().exact);
        for bad in ["", "!", "8783D481", &format!("{print}0"), &"g".repeat(40)] {
            let Err(Error::Unsupported(why)) = KeyRule::parse(bad) else {
                panic!("`{bad}` was taken");
            };
            assert!(why.contains("40 or 64"));
        }
    }

    #[test]
    fn the_mock_trusts_only_what_it_was_told_and_remembers_the_highest_value() {
        let judged = Judged {
            content: b"text".to_vec(),
            signatures: vec![],
        };
        let notary = MockNotary::default()
            .trusting("signed", judged.clone())
            .refusing("old", Distrust::ExpiredKey);
        assert_eq!(notary.verify(&b"signed".to_vec(), None, &[]), Ok(judged));
        for (bytes, reason) in [("old", Distrust::ExpiredKey), ("other", Distrust::Missing)] {
            let Err(Error::Untrusted(rejection)) = notary.verify(&bytes.into(), None, &[]) else {
                panic!("{bytes} was trusted");
            };
            assert_eq!(rejection.reason, reason);
        }
        assert_eq!(notary.seen("suite", 7), Ok(None));
        assert_eq!(notary.seen("suite", 5), Ok(Some(7)));
        assert_eq!(notary.seen("suite", 9), Ok(Some(7)));
        assert_eq!(notary.seen("other", 1), Ok(None));
    }
}
