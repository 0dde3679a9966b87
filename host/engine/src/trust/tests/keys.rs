//! Promises about certificates: which key counts, and when.

use pgp::composed::KeyType;
use pgp::packet::SignatureType;

use super::super::Distrust;
use super::super::workshop::{
    BORN, DAY, Smith, Sub, Terms, armoured, binding, certification, clearsigned,
};
use super::{NOW, TEXT, check, covered, key, message, reason, ring};

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
