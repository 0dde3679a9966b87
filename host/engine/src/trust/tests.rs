//! Promises of the verifier, with keys made here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::SignatureType;

use super::workshop::{
    BORN, DAY, Primary, Smith, Sub, Terms, armoured, binding, certification, clearsigned,
};
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
fn a_changed_byte_of_the_certificate_never_lets_another_key_in() {
    let mut smith = Smith::new(5);
    let primary = smith.primary(KeyType::Ed25519Legacy);
    let sub = smith.sub(KeyType::Ed25519Legacy);
    let whole = [
        primary.certificate(),
        primary.bound(&sub, &binding(), Some(&sub)),
    ]
    .concat();
    let by_sub = clearsigned(TEXT, &[Terms::text().sign(&sub.secret, covered())]);
    assert!(check(&by_sub, &[ring(whole.clone())]).is_ok());
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        if let Ok(verified) = check(&by_sub, &[ring(changed)]) {
            assert_eq!(verified.signatures[0].fingerprint, sub.fingerprint());
            assert_eq!(verified.signatures[0].primary, primary.fingerprint());
        }
    }
}

#[test]
fn a_key_that_has_run_out_is_refused_by_the_hosts_clock() {
    let signer = key(6);
    let message = message(&signer, &Terms::text().made(BORN + 10));
    let lasting = |seconds| {
        [
            signer.packet(),
            signer.named(&certification().key_lasts(seconds)),
        ]
        .concat()
    };
    assert_eq!(reason(&message, lasting(DAY)), Distrust::ExpiredKey);
    assert!(check(&message, &[ring(lasting(400 * DAY))]).is_ok());
    // Extended later: the newest word counts.
    let later = certification().made(BORN + DAY / 2).key_lasts(400 * DAY);
    let extended = [lasting(DAY), signer.named(&later)].concat();
    assert!(check(&message, &[ring(extended)]).is_ok());
    // A direct signature without a lifetime does not undo that of the name.
    let direct = signer.over_itself(&Terms::of(SignatureType::Key).made(BORN + DAY));
    let both = [
        signer.packet(),
        direct,
        signer.named(&certification().key_lasts(DAY)),
    ]
    .concat();
    assert_eq!(reason(&message, both), Distrust::ExpiredKey);
}

#[test]
fn a_revoked_key_is_refused_whenever_it_was_revoked_and_wherever_that_is_said() {
    let signer = key(7);
    let message = message(&signer, &Terms::text());
    for at in [BORN + 1, NOW - 1] {
        let revoked = [
            signer.packet(),
            signer.revocation(at),
            signer.named(&certification()),
        ]
        .concat();
        assert_eq!(reason(&message, revoked), Distrust::RevokedKey);
    }
    let behind = [signer.certificate(), signer.revocation(NOW)].concat();
    assert_eq!(reason(&message, behind.clone()), Distrust::RevokedKey);
    // In another copy of the certificate, in another keyring.
    let rings = [ring(signer.certificate()), ring(behind)];
    assert_eq!(
        check(&message, &rings).unwrap_err().reason,
        Distrust::RevokedKey
    );
    let withdrawn = [signer.packet(), signer.withdrawn(&certification(), NOW)].concat();
    assert_eq!(reason(&message, withdrawn), Distrust::RevokedKey);
    // Another key's revocation says nothing about this one.
    let foreign = [signer.certificate(), key(8).revocation(NOW)].concat();
    assert!(check(&message, &[ring(foreign)]).is_ok());
}

#[test]
fn a_subkey_signs_only_while_it_is_bound_both_ways_and_not_revoked() {
    let mut smith = Smith::new(10);
    let primary = smith.primary(KeyType::Ed25519Legacy);
    let sub = smith.sub(KeyType::Ed25519Legacy);
    let other = smith.sub(KeyType::Ed25519Legacy);
    let message = clearsigned(TEXT, &[Terms::text().sign(&sub.secret, covered())]);
    let with = |parts: Vec<u8>| {
        let certificates = [primary.certificate(), parts].concat();
        check(&message, &[ring(certificates)]).map_err(|fault| fault.reason)
    };
    let bound = |terms: &Terms, back: Option<&Sub>| primary.bound(&sub, terms, back);
    assert!(with(bound(&binding(), Some(&sub))).is_ok());
    // A key of someone else, claimed without its consent.
    assert_eq!(with(bound(&binding(), None)), Err(Distrust::UnknownKey));
    assert_eq!(
        with(bound(&binding(), Some(&other))),
        Err(Distrust::UnknownKey)
    );
    // Not for signing; nothing said; bound by another primary key.
    for terms in [
        binding().may_sign(false),
        Terms::of(SignatureType::SubkeyBinding),
    ] {
        assert_eq!(with(bound(&terms, Some(&sub))), Err(Distrust::UnknownKey));
    }
    let foreign = key(11).bound(&sub, &binding(), Some(&sub));
    assert_eq!(with(foreign), Err(Distrust::UnknownKey));
    // Run out, revoked.
    let short = bound(&binding().key_lasts(DAY), Some(&sub));
    assert_eq!(with(short), Err(Distrust::ExpiredKey));
    let revoked = [
        bound(&binding(), Some(&sub)),
        primary.subkey_revocation(&sub, NOW - 5),
    ]
    .concat();
    assert_eq!(with(revoked), Err(Distrust::RevokedKey));
    // Of a revoked or unnamed primary key.
    let parts = bound(&binding(), Some(&sub));
    let dead = [primary.packet(), primary.revocation(NOW), parts.clone()].concat();
    assert_eq!(reason(&message, dead), Distrust::RevokedKey);
    let nameless = [primary.packet(), parts].concat();
    assert_eq!(reason(&message, nameless), Distrust::UnknownKey);
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

#[test]
fn keyrings_that_hold_no_keys_secret_keys_or_too_many_are_refused() {
    let signer = key(18);
    let message = message(&signer, &Terms::text());
    let flood: Vec<u8> = (100..170)
        .flat_map(|seed| key(seed).certificate())
        .collect();
    let mut secret = Vec::new();
    pgp::packet::PacketTrait::to_writer_with_header(&signer.secret, &mut secret).unwrap();
    for bad in [vec![], b"no key".to_vec(), vec![0x99; 64], flood, secret] {
        assert_eq!(reason(&message, bad), Distrust::Malformed);
    }
    let huge = vec![b' '; (1 << 20) + 1];
    assert_eq!(reason(&message, huge), Distrust::Malformed);
    // Words around armoured keys, and several blocks, are usual.
    let block = armoured("PGP PUBLIC KEY BLOCK", &signer.certificate());
    let other = armoured("PGP PUBLIC KEY BLOCK", &key(19).certificate());
    let file = format!("Key of the archive\n\n{other}\n{block}\n");
    assert!(check(&message, &[ring(file)]).is_ok());
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
