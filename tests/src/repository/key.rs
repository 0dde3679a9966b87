//! A key that signs Release files, made by `pgp` from a seed: the same on every run.

use anyhow::{Result, anyhow};
use base64::Engine as _;
use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, PubKeyInner, PublicKey, SecretKey, SignatureConfig, SignatureType,
    Subpacket, SubpacketData, UserId,
};
use pgp::types::{KeyDetails, KeyVersion, Password, Tag, Timestamp};
use rand_chacha_0_3::ChaCha8Rng;
use rand_chacha_0_3::rand_core::SeedableRng;

/// When keys are made, in seconds since 1970.
const BORN: u32 = 1_600_000_000;

/// An archive's key.
pub struct Key {
    public: PublicKey,
    secret: SecretKey,
}

// === impl Key ===

impl Key {
    pub fn new(seed: u64) -> Result<Self> {
        let kind = KeyType::Ed25519Legacy;
        let (params, secret) = kind.generate(ChaCha8Rng::seed_from_u64(seed))?;
        let born = Timestamp::from_secs(BORN);
        let inner = PubKeyInner::new(KeyVersion::V4, kind.to_alg(), born, None, params)?;
        let public = PublicKey::from_inner(inner)?;
        let secret = SecretKey::new(public.clone(), secret)?;
        Ok(Self { public, secret })
    }

    /// In upper-case hex.
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.public.fingerprint())
    }

    /// The certificate in binary form, as keyrings have it.
    pub fn keyring(&self) -> Result<Vec<u8>> {
        let name = UserId::from_str(Default::default(), "Archive <ftp@example.org>")?;
        let mut flags = KeyFlags::default();
        flags.set_sign(true);
        let mut config = self.says(SignatureType::CertPositive, BORN)?;
        config
            .hashed_subpackets
            .push(Subpacket::regular(SubpacketData::KeyFlags(flags))?);
        let bound = config.sign_certification(
            &self.secret,
            &self.public,
            &Password::empty(),
            Tag::UserId,
            &name,
        )?;
        Ok([packet(&self.public)?, packet(&name)?, packet(&bound)?].concat())
    }

    /// The certificate as Signed-By has it between the lines of an entry.
    pub fn inline(&self) -> Result<String> {
        let text = armoured("PGP PUBLIC KEY BLOCK", &self.keyring()?);
        let lines = text.lines().map(|line| match line {
            "" => " .\n".to_owned(),
            line => format!(" {line}\n"),
        });
        Ok(lines.collect())
    }

    /// `text`, which ends with a line feed, as a clearsigned message made at `made`.
    pub fn clearsigned(&self, text: &str, made: u64) -> Result<String> {
        let covered = text
            .strip_suffix('\n')
            .ok_or_else(|| anyhow!("the text does not end with a line feed"))?;
        let signature = self.sign(SignatureType::Text, covered.as_bytes(), made)?;
        let signature = armoured("PGP SIGNATURE", &signature);
        Ok(format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}{signature}"
        ))
    }

    /// An armoured signature for a file beside `bytes`.
    pub fn detached(&self, bytes: &[u8], made: u64) -> Result<String> {
        let signature = self.sign(SignatureType::Binary, bytes, made)?;
        Ok(armoured("PGP SIGNATURE", &signature))
    }

    fn sign(&self, kind: SignatureType, bytes: &[u8], made: u64) -> Result<Vec<u8>> {
        let config = self.says(kind, u32::try_from(made)?)?;
        packet(&config.sign(&self.secret, &Password::empty(), bytes)?)
    }

    fn says(&self, kind: SignatureType, made: u32) -> Result<SignatureConfig> {
        let signer = &self.secret;
        let mut config = SignatureConfig::v4(kind, signer.algorithm(), HashAlgorithm::Sha512);
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(
                made,
            )))?,
            Subpacket::regular(SubpacketData::IssuerFingerprint(signer.fingerprint()))?,
        ];
        let id = SubpacketData::IssuerKeyId(signer.legacy_key_id());
        config.unhashed_subpackets = vec![Subpacket::regular(id)?];
        Ok(config)
    }
}

/// ASCII armour with its checksum (RFC 9580, 6.1), as gpg writes it.
fn armoured(label: &str, bytes: &[u8]) -> String {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let text = encode(bytes);
    let mut lines = String::new();
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    let checksum = encode(&crc24(bytes).to_be_bytes()[1..]);
    format!("-----BEGIN {label}-----\n\n{lines}\n={checksum}\n-----END {label}-----\n")
}

fn crc24(bytes: &[u8]) -> u32 {
    let mut crc = 0x00b7_04ce_u32;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0186_4cfb;
            }
        }
    }
    crc & 0x00ff_ffff
}

fn packet(packet: &impl PacketTrait) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    packet.to_writer_with_header(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;
    use crate::base::quiet;

    #[test]
    fn gpgv_takes_what_a_key_signs() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str| dir.path().join(name);
        let key = Key::new(1)?;
        let text = "Origin: Debian\nSuite: stable\n";
        fs::write(path("ring.gpg"), key.keyring()?)?;
        fs::write(path("InRelease"), key.clearsigned(text, 1_700_000_000)?)?;
        fs::write(path("Release"), text)?;
        fs::write(
            path("Release.gpg"),
            key.detached(text.as_bytes(), 1_700_000_000)?,
        )?;
        let gpgv = |files: &[&str]| {
            let mut command = Command::new("gpgv");
            command.arg("--keyring").arg(path("ring.gpg"));
            command.args(files.iter().map(|file| path(file)));
            quiet(&mut command)
        };
        gpgv(&["InRelease"])?;
        gpgv(&["Release.gpg", "Release"])
    }
}
