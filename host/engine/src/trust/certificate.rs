//! Certificates: a primary key, its names and subkeys, and what its own signatures say about them at a moment.
//!
//! Every statement (a name, a subkey, a lifetime, a revocation) counts only with a good signature by the primary key over it; statements by others
//! are passed over, designated revokers too. A revocation counts from the day it is read, whatever its reason and date.

use pgp::crypto::public_key::PublicKeyAlgorithm;
use pgp::packet::{
    Packet, PacketParser, PublicKey, PublicSubkey, Signature, SignatureType, SubpacketData, UserId,
};
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails, KeyVersion, PublicParams, Tag};

use super::memo::Check;
use super::moment::Moment;
use super::{Distrust, Rejection, armour};

const LABEL: &str = "PGP PUBLIC KEY BLOCK";
/// Bytes of one keyring.
const MAX_KEYRING: usize = 1 << 20;
/// Subkeys of one certificate, and names.
const MAX_PARTS: usize = 64;
/// Signatures of one certificate. Beyond lies only what others have signed.
const MAX_SIGNATURES: usize = 4096;
/// Bits of the shortest RSA key.
const MIN_RSA: usize = 2048;

/// One certificate as it was read, nothing of it verified yet.
#[derive(Debug)]
pub struct Certificate {
    pub primary: PublicKey,
    revocations: Vec<Signature>,
    direct: Vec<Signature>,
    names: Vec<(UserId, Vec<Signature>)>,
    pub subkeys: Vec<(PublicSubkey, Vec<Signature>)>,
    signatures: usize,
}

/// Which key of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Primary,
    Subkey(usize),
}

/// What the signatures that follow a packet are about.
enum About {
    Primary,
    Name,
    Subkey,
    /// A picture.
    Nothing,
}

/// Reads certificates, armoured or binary, one after another.
pub fn read(bytes: &[u8]) -> Result<Vec<Certificate>, Rejection> {
    if bytes.len() > MAX_KEYRING {
        return Err(Distrust::Malformed.because(format!(
            "a keyring has {} bytes, at most {MAX_KEYRING} are allowed",
            bytes.len()
        )));
    }
    let mut found = Vec::new();
    // A binary packet begins with its highest bit set, text does not.
    if bytes.first().is_some_and(|first| first & 0x80 != 0) {
        gather(bytes, &mut found)?;
    } else {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (line, next) = armour::line(rest);
            if armour::opens(line, LABEL) {
                let block = armour::block(rest, LABEL).map_err(|why| {
                    Distrust::Malformed.because(format!("an armoured key: {why}"))
                })?;
                gather(&block.content, &mut found)?;
                rest = block.rest;
            } else {
                rest = next;
            }
        }
    }
    if found.is_empty() {
        return Err(Distrust::Malformed.because(
            "a keyring holds no OpenPGP key that can be read: expected `-----BEGIN PGP PUBLIC KEY BLOCK-----` or binary packets (`gpg --export`)",
        ));
    }
    Ok(found)
}

/// Groups packets into certificates. Packets that cannot be read are left out; what depends on them is then not signed and does not count.
fn gather(bytes: &[u8], found: &mut Vec<Certificate>) -> Result<(), Rejection> {
    let mut about = About::Nothing;
    for packet in PacketParser::new(bytes) {
        let Ok(packet) = packet else { continue };
        match packet {
            Packet::PublicKey(primary) => {
                found.push(Certificate::new(primary));
                about = About::Primary;
                continue;
            }
            Packet::SecretKey(_) | Packet::SecretSubkey(_) => {
                return Err(Distrust::Malformed.because(
                    "a keyring holds a secret key: only public keys belong there (`gpg --export`)",
                ));
            }
            _ => {}
        }
        let Some(certificate) = found.last_mut() else {
            continue;
        };
        match packet {
            Packet::UserId(name) => {
                certificate.names.push((name, Vec::new()));
                about = About::Name;
            }
            Packet::UserAttribute(_) => about = About::Nothing,
            Packet::PublicSubkey(key) => {
                certificate.subkeys.push((key, Vec::new()));
                about = About::Subkey;
            }
            Packet::Signature(signature) => certificate.attach(signature, &about),
            _ => {}
        }
        if certificate.subkeys.len() > MAX_PARTS
            || certificate.names.len() > MAX_PARTS
            || certificate.signatures > MAX_SIGNATURES
        {
            return Err(Distrust::Malformed.because(format!(
                "key {:X} has more than {MAX_PARTS} subkeys or names, or {MAX_SIGNATURES} signatures: export a minimal one (`gpg --export-options export-minimal`)",
                certificate.primary.fingerprint()
            )));
        }
    }
    Ok(())
}

// === impl Certificate ===

impl Certificate {
    fn new(primary: PublicKey) -> Self {
        Self {
            primary,
            revocations: Vec::new(),
            direct: Vec::new(),
            names: Vec::new(),
            subkeys: Vec::new(),
            signatures: 0,
        }
    }

    /// Puts a signature where its type belongs.
    fn attach(&mut self, signature: Signature, about: &About) {
        self.signatures += 1;
        match signature.typ() {
            Some(SignatureType::KeyRevocation) => self.revocations.push(signature),
            Some(SignatureType::Key) => self.direct.push(signature),
            Some(SignatureType::SubkeyBinding | SignatureType::SubkeyRevocation) => {
                if let (About::Subkey, Some((_, list))) = (about, self.subkeys.last_mut()) {
                    list.push(signature);
                }
            }
            _ if signature.is_certification() => {
                if let (About::Name, Some((_, list))) = (about, self.names.last_mut()) {
                    list.push(signature);
                }
            }
            _ => {}
        }
    }

    /// The fingerprint of the primary key, upper-case hex.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.primary.fingerprint())
    }

    /// The fingerprints of all its keys.
    pub fn parts(&self) -> impl Iterator<Item = (Part, String)> {
        let subkeys = self.subkeys.iter().enumerate();
        std::iter::once((Part::Primary, self.fingerprint())).chain(
            subkeys
                .map(|(index, (key, _))| (Part::Subkey(index), format!("{:X}", key.fingerprint()))),
        )
    }

    /// Adds what another copy of the same certificate knows, so that a revocation in any copy counts.
    pub fn merge(&mut self, other: Self) {
        self.revocations.extend(other.revocations);
        self.direct.extend(other.direct);
        self.names.extend(other.names);
        for (key, signatures) in other.subkeys {
            let print = key.fingerprint();
            let mut mine = self.subkeys.iter_mut();
            match mine.find(|(known, _)| known.fingerprint() == print) {
                Some((_, list)) => list.extend(signatures),
                None => self.subkeys.push((key, signatures)),
            }
        }
        self.signatures += other.signatures;
    }

    /// Whether a key may sign data at this moment.
    pub fn judge(&self, part: Part, now: Moment) -> Result<(), Rejection> {
        let may_sign = self.judge_primary(now)?;
        match part {
            Part::Primary if may_sign => Ok(()),
            Part::Primary => Err(Distrust::UnknownKey
                .because("it is a primary key that may not sign data; its subkeys do that")),
            Part::Subkey(index) => self.judge_subkey(index, now),
        }
    }

    /// Judges the primary key; answers whether it may sign data itself.
    fn judge_primary(&self, now: Moment) -> Result<bool, Rejection> {
        let key = &self.primary;
        judge_key(key, now)?;
        if self.revocations.iter().any(|one| of_key(one, key)) {
            return Err(Distrust::RevokedKey.because("the key was revoked"));
        }
        let direct = latest(
            self.direct
                .iter()
                .filter(|one| counts(one, now) && of_key(one, key)),
        );
        let mut withdrawn = false;
        let named = latest(self.names.iter().filter_map(|(name, signatures)| {
            let good = |one: &&Signature| {
                let check = Check::new("name").part(*one).part(key).part(name);
                check.holds(|| one.verify_certification(key, Tag::UserId, name).is_ok())
            };
            let bound = latest(signatures.iter().filter(|one| {
                one.typ() != Some(SignatureType::CertRevocation) && counts(one, now) && good(one)
            }))?;
            let revoked = signatures.iter().any(|one| {
                one.typ() == Some(SignatureType::CertRevocation)
                    && one.created() >= bound.created()
                    && good(&one)
            });
            withdrawn |= revoked;
            (!revoked).then_some(bound)
        }));
        if direct.is_none() && named.is_none() {
            return Err(if withdrawn {
                Distrust::RevokedKey.because("all names of the key were revoked")
            } else {
                Distrust::UnknownKey.because(
                    "the key has no good signature of its own over a name: it is incomplete, or its signature has run out",
                )
            });
        }
        // GnuPG writes direct signatures without a lifetime beside names with one: whichever ends first counts.
        for statement in [direct, named].into_iter().flatten() {
            judge_lifetime(key, statement, now)?;
        }
        Ok([named, direct]
            .into_iter()
            .flatten()
            .find_map(flags_sign)
            .unwrap_or(true))
    }

    fn judge_subkey(&self, index: usize, now: Moment) -> Result<(), Rejection> {
        let (key, signatures) = &self.subkeys[index];
        let primary = &self.primary;
        judge_key(key, now)?;
        let good = |one: &&Signature| {
            let check = Check::new("subkey").part(*one).part(primary).part(key);
            check.holds(|| one.verify_subkey_binding(primary, key).is_ok())
        };
        let of = |kind: SignatureType| signatures.iter().filter(move |one| one.typ() == Some(kind));
        if of(SignatureType::SubkeyRevocation).any(|one| good(&one)) {
            return Err(Distrust::RevokedKey.because("the subkey was revoked"));
        }
        let binding =
            latest(of(SignatureType::SubkeyBinding).filter(|one| counts(one, now) && good(one)))
                .ok_or_else(|| {
                    Distrust::UnknownKey.because("the primary key does not vouch for this subkey")
                })?;
        judge_lifetime(key, binding, now)?;
        if flags_sign(binding) != Some(true) {
            return Err(Distrust::UnknownKey.because("the subkey is not one that may sign data"));
        }
        // Without it, anyone could claim another's signing key as a subkey.
        let back = binding.embedded_signature().is_some_and(|back| {
            let check = Check::new("back").part(back).part(key).part(primary);
            counts(back, now)
                && check.holds(|| back.verify_primary_key_binding(key, primary).is_ok())
        });
        if !back {
            return Err(Distrust::UnknownKey
                .because("the subkey does not itself say that it belongs to the primary key"));
        }
        Ok(())
    }
}

/// Whether a signature about a key itself is by that key.
fn of_key(signature: &Signature, key: &PublicKey) -> bool {
    let check = Check::new("key").part(signature).part(key);
    check.holds(|| signature.verify_key(key).is_ok())
}

/// Strength and age of a key's own material.
fn judge_key(key: &impl KeyDetails, now: Moment) -> Result<(), Rejection> {
    if !matches!(key.version(), KeyVersion::V4 | KeyVersion::V6) {
        return Err(Distrust::Weak.because("keys of this version are obsolete"));
    }
    let strong = match key.public_params() {
        PublicParams::ECDSA(curve) if !curve.is_supported() => {
            return Err(Distrust::UnknownKey.because("the key's curve is not supported"));
        }
        PublicParams::RSA(_) => rsa_bits(key.public_params()) >= MIN_RSA,
        _ => matches!(
            key.algorithm(),
            PublicKeyAlgorithm::ECDSA
                | PublicKeyAlgorithm::EdDSALegacy
                | PublicKeyAlgorithm::Ed25519
                | PublicKeyAlgorithm::Ed448
        ),
    };
    if !strong {
        return Err(Distrust::Weak.because(format!(
            "the key is too weak ({:?}, {} bits): RSA of {MIN_RSA} bits or more, ECDSA, Ed25519 and Ed448 are trusted",
            key.algorithm(),
            rsa_bits(key.public_params())
        )));
    }
    let made = u64::from(key.created_at().as_secs());
    if now.precedes(made) {
        return Err(Distrust::FromTheFuture
            .because(format!("the key was made at {}, after now", Moment(made))));
    }
    Ok(())
}

fn judge_lifetime(
    key: &impl KeyDetails,
    statement: &Signature,
    now: Moment,
) -> Result<(), Rejection> {
    let lifetime = statement
        .key_expiration_time()
        .map_or(0, |one| u64::from(one.as_secs()));
    let end = u64::from(key.created_at().as_secs()) + lifetime;
    if lifetime != 0 && end <= now.0 {
        return Err(Distrust::ExpiredKey.because(format!("the key expired at {}", Moment(end))));
    }
    Ok(())
}

/// Whether a statement of a key about itself may count: made by now, not run out, and not with a digest that can be forged after the fact.
/// SHA-1 will do here, as it does for GnuPG: a second preimage is out of reach, and the key's owner does not attack herself.
fn counts(statement: &Signature, now: Moment) -> bool {
    use pgp::crypto::hash::HashAlgorithm as Hash;
    let digest = !matches!(
        statement.hash_alg(),
        None | Some(Hash::None | Hash::Md5 | Hash::Ripemd160)
    );
    let Some(made) = statement.created().map(|made| u64::from(made.as_secs())) else {
        return false;
    };
    digest && !now.precedes(made) && !run_out(statement, made, now)
}

/// Whether the signature itself has run out.
pub fn run_out(signature: &Signature, made: u64, now: Moment) -> bool {
    let lifetime = signature
        .signature_expiration_time()
        .map_or(0, |one| u64::from(one.as_secs()));
    lifetime != 0 && made + lifetime <= now.0
}

/// The one that was made last.
fn latest<'a>(all: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    all.max_by_key(|one| one.created())
}

/// Whether the key flags, if it has any, allow to sign data.
fn flags_sign(statement: &Signature) -> Option<bool> {
    let has = statement.config().is_some_and(|config| {
        config
            .hashed_subpackets()
            .any(|one| matches!(one.data, SubpacketData::KeyFlags(_)))
    });
    has.then(|| statement.key_flags().sign())
}

/// Bits of an RSA modulus; 0 of any other key.
fn rsa_bits(params: &PublicParams) -> usize {
    match params {
        // An RSA key begins with the number of bits of its modulus.
        PublicParams::RSA(_) => match params.to_bytes().as_deref() {
            Ok([high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        },
        _ => 0,
    }
}
