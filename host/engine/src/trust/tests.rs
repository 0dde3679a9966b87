//! Promises of the verifier, with keys made here.

mod keys;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;

use super::workshop::{BORN, DAY, Primary, Smith, Terms, armoured, binding, clearsigned};
use super::{Distrust, GoodSignature, KeyRule, Keyring, Rejection, Verified, verify};
use crate::blobs::Blob;
use crate::error::GeneratorError;

const TEXT: &str = "Origin: Debian\nSuite: stable\n- dashed\n-----\nSHA256:\n abc 1 main\n";
const NOW: u32 = BORN + 365 * DAY;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW.into())
}

fn key(seed: u64) -> Primary {
    Smith::new(seed).primary(KeyType::Ed25519Legacy)
}

fn ring(certificates: impl Into<Vec<u8>>) -> Keyring {
    Keyring {
        certificates: certificates.into(),
        allowed: Vec::new(),
    }
}

fn rule(fingerprint: &str, exact: bool) -> KeyRule {
    KeyRule {
        fingerprint: fingerprint.to_owned(),
        exact,
    }
}

fn check(message: &[u8], keyrings: &[Keyring]) -> Result<Verified, Rejection> {
    match verify(&Blob::from_bytes(message.to_vec()), None, keyrings, now()) {
        Err(GeneratorError::Untrusted(rejection)) => Err(rejection),
        other => Ok(other.unwrap()),
    }
}

fn check_detached(
    content: &[u8],
    signature: &[u8],
    keyring: Keyring,
) -> Result<Verified, Rejection> {
    let content = Blob::from_bytes(content.to_vec());
    let signature = Blob::from_bytes(signature.to_vec());
    match verify(&content, Some(&signature), &[keyring], now()) {
        Err(GeneratorError::Untrusted(rejection)) => Err(rejection),
        other => Ok(other.unwrap()),
    }
}

/// The text as the signature covers it.
fn covered() -> &'static [u8] {
    TEXT.trim_end().as_bytes()
}

fn message(signer: &Primary, terms: &Terms) -> Vec<u8> {
    clearsigned(TEXT, &[terms.sign(&signer.secret, covered())])
}

fn reason(message: &[u8], certificates: Vec<u8>) -> Distrust {
    check(message, &[ring(certificates)]).unwrap_err().reason
}

#[test]
fn a_message_of_three_signatures_is_answered_with_its_text_and_the_allowed_signers() {
    let mut smith = Smith::new(1);
    let (old, stable) = (
        smith.primary(KeyType::Rsa(2048)),
        smith.primary(KeyType::Ed25519Legacy),
    );
    let sub = smith.sub(KeyType::Ed25519Legacy);
    let terms = Terms::text().made(NOW - 60);
    let message = clearsigned(
        TEXT,
        &[
            terms.sign(&key(9).secret, covered()),
            terms.sign(&old.secret, covered()),
            terms.sign(&sub.secret, covered()),
        ],
    );
    let rings = [
        ring(old.certificate()),
        ring(armoured(
            "PGP PUBLIC KEY BLOCK",
            &[
                stable.certificate(),
                stable.bound(&sub, &binding(), Some(&sub)),
            ]
            .concat(),
        )),
    ];
    let verified = check(&message, &rings).unwrap();
    assert_eq!(verified.text.unwrap(), TEXT.as_bytes());
    let made = u64::from(NOW - 60);
    let good = |fingerprint, primary| GoodSignature {
        fingerprint,
        primary,
        made,
    };
    assert_eq!(
        verified.signatures,
        [
            good(old.fingerprint(), old.fingerprint()),
            good(sub.fingerprint(), stable.fingerprint()),
        ]
    );
}

#[test]
fn only_the_allowed_keys_count_and_an_exact_rule_means_that_very_key() {
    let mut smith = Smith::new(2);
    let primary = smith.primary(KeyType::Ed25519Legacy);
    let sub = smith.sub(KeyType::Ed25519Legacy);
    let certificates = [
        primary.certificate(),
        primary.bound(&sub, &binding(), Some(&sub)),
    ]
    .concat();
    let by_primary = message(&primary, &Terms::text());
    let by_sub = clearsigned(TEXT, &[Terms::text().sign(&sub.secret, covered())]);
    let allowed = |message: &[u8], rules: Vec<KeyRule>| {
        let keyring = Keyring {
            certificates: certificates.clone(),
            allowed: rules,
        };
        check(message, &[keyring]).map_err(|fault| fault.reason)
    };
    let (first, second) = (primary.fingerprint(), sub.fingerprint());
    for (message, fingerprint, exact, good) in [
        (&by_primary, first.to_lowercase().as_str(), true, true),
        (&by_primary, &first, false, true),
        (&by_sub, &first, false, true),
        (&by_sub, &first, true, false),
        (&by_sub, &second, true, true),
        (&by_sub, &second, false, true),
        (&by_primary, &second, false, false),
    ] {
        let found = allowed(message, vec![rule(fingerprint, exact)]);
        assert_eq!(found.is_ok(), good, "{fingerprint} exact: {exact}");
        if !good {
            assert_eq!(found.unwrap_err(), Distrust::UnknownKey);
        }
    }
    let other = allowed(&by_primary, vec![rule(&key(3).fingerprint(), false)]);
    assert_eq!(other.unwrap_err(), Distrust::UnknownKey);
    let short = allowed(&by_primary, vec![rule(&first[24..], false)]);
    assert_eq!(short.unwrap_err(), Distrust::Malformed);
    assert_eq!(
        check(&by_primary, &[]).unwrap_err().reason,
        Distrust::UnknownKey
    );
}

#[test]
fn a_changed_byte_of_the_text_or_the_signature_is_never_trusted() {
    let signer = key(4);
    let whole = message(&signer, &Terms::text());
    let keyring = [ring(signer.certificate())];
    let text = check(&whole, &keyring).unwrap().text;
    let mut refused = 0;
    for at in 0..whole.len() {
        for flip in [1, 0x20, 0x80] {
            let mut changed = whole.clone();
            changed[at] ^= flip;
            match check(&changed, &keyring) {
                // What no signature covers (the name of the digest, white space) may differ; what is answered may not.
                Ok(verified) => assert_eq!(verified.text, text, "byte {at}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > whole.len() * 5 / 2, "{refused}");
    let changed = whole.replacen(b"stable", b"unstab");
    assert_eq!(check(&changed, &keyring).unwrap_err().reason, Distrust::Bad);
}

#[test]
fn weak_digests_and_weak_keys_are_refused_even_with_a_right_signature() {
    let mut smith = Smith::new(12);
    let (strong, short) = (
        smith.primary(KeyType::Rsa(2048)),
        smith.primary(KeyType::Rsa(1024)),
    );
    for digest in [
        HashAlgorithm::Sha1,
        HashAlgorithm::Md5,
        HashAlgorithm::Ripemd160,
    ] {
        let message = message(&strong, &Terms::text().digest(digest));
        assert_eq!(
            reason(&message, strong.certificate()),
            Distrust::Weak,
            "{digest}"
        );
    }
    assert!(
        check(
            &message(&strong, &Terms::text().digest(HashAlgorithm::Sha256)),
            &[ring(strong.certificate())]
        )
        .is_ok()
    );
    let message = message(&short, &Terms::text());
    let refused = check(&message, &[ring(short.certificate())]).unwrap_err();
    assert_eq!(refused.reason, Distrust::Weak);
    assert!(refused.message.contains("1024 bits"), "{refused}");
    // A weak signature beside a strong one does no harm.
    let both = clearsigned(
        TEXT,
        &[
            Terms::text()
                .digest(HashAlgorithm::Sha1)
                .sign(&strong.secret, covered()),
            Terms::text().sign(&strong.secret, covered()),
        ],
    );
    let verified = check(&both, &[ring(strong.certificate())]).unwrap();
    assert_eq!(verified.signatures.len(), 1);
}

#[test]
fn a_signature_out_of_its_time_is_refused() {
    let signer = key(13);
    let of = |terms: Terms| reason(&message(&signer, &terms), signer.certificate());
    assert_eq!(of(Terms::text().lasts(DAY)), Distrust::Expired);
    assert_eq!(of(Terms::text().made(NOW + 301)), Distrust::FromTheFuture);
    assert_eq!(of(Terms::text().made(BORN - 1)), Distrust::Bad);
    for good in [
        Terms::text().lasts(400 * DAY),
        Terms::text().made(NOW + 300),
    ] {
        assert!(check(&message(&signer, &good), &[ring(signer.certificate())]).is_ok());
    }
}

#[test]
fn two_messages_one_after_another_are_refused_even_when_both_are_good() {
    let signer = key(14);
    let one = message(&signer, &Terms::text());
    let two = [one.clone(), one].concat();
    assert_eq!(reason(&two, signer.certificate()), Distrust::UnsignedBytes);
}

#[test]
fn a_text_without_a_signature_by_anyone_is_refused_as_unsigned() {
    let signer = key(15);
    let certificate = signer.certificate();
    assert_eq!(
        reason(TEXT.as_bytes(), certificate.clone()),
        Distrust::Missing
    );
    let none = clearsigned(TEXT, &[]);
    assert_eq!(reason(&none, certificate.clone()), Distrust::Missing);
    // A certificate where the signature belongs; noise.
    let other = clearsigned(TEXT, &[signer.certificate()]);
    assert_eq!(reason(&other, certificate.clone()), Distrust::Malformed);
    let noise = clearsigned(TEXT, &[vec![0x88, 5, 4, 1]]);
    assert_eq!(reason(&noise, certificate), Distrust::Malformed);
}

#[test]
fn a_detached_signature_covers_every_byte_of_the_content() {
    let signer = key(16);
    let content = b"<repomd/>\r\n".to_vec();
    let packet = Terms::binary().sign(&signer.secret, &content);
    let armour = armoured("PGP SIGNATURE", &packet).into_bytes();
    let keyring = || ring(signer.certificate());
    for file in [&packet, &armour] {
        let verified = check_detached(&content, file, keyring()).unwrap();
        assert_eq!(verified.text, None);
        assert_eq!(verified.signatures[0].fingerprint, signer.fingerprint());
        for at in 0..content.len() {
            let mut changed = content.clone();
            changed[at] ^= 1;
            let refused = check_detached(&changed, file, keyring()).unwrap_err();
            assert_eq!(refused.reason, Distrust::Bad);
        }
    }
    for (file, expected) in [
        (vec![], Distrust::Missing),
        (b"<html>404</html>".to_vec(), Distrust::Malformed),
        (
            [armour.clone(), armour.clone()].concat(),
            Distrust::UnsignedBytes,
        ),
        (
            Terms::text().sign(&signer.secret, &content),
            Distrust::Malformed,
        ),
        (
            Terms::binary().sign(&key(17).secret, &content),
            Distrust::UnknownKey,
        ),
        (vec![0; 300 << 10], Distrust::Malformed),
    ] {
        let refused = check_detached(&content, &file, keyring()).unwrap_err();
        assert_eq!(refused.reason, expected, "{refused}");
    }
    // A signature over a file is none over a clearsigned text, and the other way round.
    let moved = clearsigned(TEXT, &[Terms::binary().sign(&signer.secret, covered())]);
    assert_eq!(reason(&moved, signer.certificate()), Distrust::Bad);
    let text = b"one line".to_vec();
    let signature = Terms::text().sign(&signer.secret, &text);
    assert!(check_detached(&text, &signature, keyring()).is_ok());
}

/// `[u8]::replacen`, of one place.
trait Replace {
    fn replacen(&self, from: &[u8], to: &[u8]) -> Vec<u8>;
}

impl Replace for Vec<u8> {
    fn replacen(&self, from: &[u8], to: &[u8]) -> Vec<u8> {
        let at = self
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
        [&self[..at], to, &self[at + from.len()..]].concat()
    }
}
