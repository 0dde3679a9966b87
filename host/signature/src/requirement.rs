//! Which keys must have signed a manifest, and what to say when they have not.

use std::collections::BTreeSet;

use bootsplice_content::Digest;

use crate::key::PublicKey;
use crate::payload::Payload;
use crate::{MAX_SIGNATURES, SignatureError, Signed};

/// Most keys in a requirement.
pub const MAX_KEYS: usize = 32;

/// At least `threshold` of these keys must have signed.
#[derive(Clone, Debug)]
pub struct Requirement {
    keys: Vec<TrustedKey>,
    threshold: usize,
}

/// A key that counts, and what people call it.
#[derive(Clone, Debug)]
pub struct TrustedKey {
    pub name: String,
    pub key: PublicKey,
}

/// Who signed and who has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Names of the keys with a good signature, in the requirement's order.
    pub signed: Vec<String>,
    /// Names of the keys without one.
    pub missing: Vec<String>,
    pub threshold: usize,
}

// === impl Requirement ===

impl Requirement {
    /// Refuses what could never hold, or would hold by less than it says: no keys, the same key twice, a threshold of none or of more than there are.
    pub fn new(keys: Vec<TrustedKey>, threshold: usize) -> Result<Self, SignatureError> {
        let wrong = |why: String| Err(SignatureError::Requirement(why));
        if keys.len() > MAX_KEYS {
            return wrong(format!(
                "{} keys; at most {MAX_KEYS} are allowed",
                keys.len()
            ));
        }
        if threshold == 0 || threshold > keys.len() {
            return wrong(format!(
                "a threshold of {threshold} with {} keys; expected 1 to {}",
                keys.len(),
                keys.len().max(1)
            ));
        }
        let mut ids = BTreeSet::new();
        for trusted in &keys {
            if !ids.insert(trusted.key.id()) {
                return wrong(format!(
                    "the key `{}` stands there twice: its signature would count as two",
                    trusted.name
                ));
            }
        }
        Ok(Self { keys, threshold })
    }

    pub fn threshold(&self) -> usize {
        self.threshold
    }

    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// Whether one of the keys made this, over `manifest`. What did not need not be kept until all is judged.
    pub fn counts(&self, manifest: &Digest, signed: &Signed) -> bool {
        let about = Payload::parse(&signed.payload);
        about.is_ok_and(|payload| payload.manifest == *manifest)
            && self
                .keys
                .iter()
                .any(|trusted| trusted.key.verifies(&signed.payload, &signed.signature))
    }

    /// Judges what was found beside `manifest`. Signatures of other keys, over other manifests, or damaged ones count for nothing and hurt nothing.
    pub fn judge(&self, manifest: &Digest, found: &[Signed]) -> Verdict {
        let about: Vec<&Signed> = found
            .iter()
            .take(MAX_SIGNATURES)
            .filter(|signed| {
                Payload::parse(&signed.payload).is_ok_and(|payload| payload.manifest == *manifest)
            })
            .collect();
        let (signed, missing): (Vec<_>, Vec<_>) = self.keys.iter().partition(|trusted| {
            about
                .iter()
                .any(|signed| trusted.key.verifies(&signed.payload, &signed.signature))
        });
        let names = |keys: Vec<&TrustedKey>| keys.into_iter().map(|key| key.name.clone()).collect();
        Verdict {
            signed: names(signed),
            missing: names(missing),
            threshold: self.threshold,
        }
    }
}

// === impl Verdict ===

impl Verdict {
    pub fn holds(&self) -> bool {
        self.signed.len() >= self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    fn key(byte: u8) -> SecretKey {
        SecretKey::from_random(&[byte; 32]).unwrap()
    }

    fn requirement(bytes: &[u8], threshold: usize) -> Result<Requirement, SignatureError> {
        let keys = bytes.iter().map(|&byte| TrustedKey {
            name: format!("key-{byte}"),
            key: key(byte).public(),
        });
        Requirement::new(keys.collect(), threshold)
    }

    fn signed(byte: u8, manifest: &Digest) -> Signed {
        let payload = Payload {
            reference: "acme/hello".into(),
            manifest: *manifest,
        };
        Signed::new(&payload, &key(byte))
    }

    #[test]
    fn k_distinct_keys_of_n_make_it_hold() {
        let manifest = Digest::of(b"manifest");
        let two_of_three = requirement(&[1, 2, 3], 2).unwrap();
        let verdict = |found: &[Signed]| two_of_three.judge(&manifest, found);
        assert!(!verdict(&[]).holds());
        let once = verdict(&[signed(1, &manifest)]);
        assert!(!once.holds());
        assert_eq!(once.signed, ["key-1"]);
        assert_eq!(once.missing, ["key-2", "key-3"]);
        // One key's signature, however often, is one.
        assert!(!verdict(&[signed(1, &manifest), signed(1, &manifest)]).holds());
        // A stranger's key counts for nothing, and takes nobody's place.
        assert!(!verdict(&[signed(1, &manifest), signed(9, &manifest)]).holds());
        assert!(
            verdict(&[
                signed(9, &manifest),
                signed(3, &manifest),
                signed(1, &manifest)
            ])
            .holds()
        );
    }

    #[test]
    fn a_good_signature_of_another_manifest_does_not_count() {
        let one = requirement(&[1], 1).unwrap();
        let manifest = Digest::of(b"manifest");
        assert!(one.judge(&manifest, &[signed(1, &manifest)]).holds());
        assert!(
            !one.judge(&manifest, &[signed(1, &Digest::of(b"other"))])
                .holds()
        );
        let mut changed = signed(1, &manifest);
        changed.payload.push(b' ');
        assert!(!one.judge(&manifest, &[changed]).holds());
    }

    #[test]
    fn a_requirement_that_says_more_than_it_asks_is_refused() {
        assert!(requirement(&[], 1).is_err());
        assert!(requirement(&[1], 0).is_err());
        assert!(requirement(&[1], 2).is_err());
        let twice = requirement(&[1, 1], 2).unwrap_err().to_string();
        assert!(twice.contains("twice"), "{twice}");
    }

    #[test]
    fn annotations_of_registries_come_back_and_nonsense_is_none() {
        let manifest = Digest::of(b"manifest");
        let good = signed(1, &manifest);
        let again = Signed::from_layer(good.payload.clone(), &good.annotation()).unwrap();
        assert_eq!(again, good);
        assert!(Signed::from_layer(Vec::new(), "not base64 !").is_none());
        assert!(Signed::from_layer(vec![0; crate::MAX_PAYLOAD + 1], "AA==").is_none());
    }
}
