//! Keys, certificates and signed messages for tests, made by `pgp` from a seed: the same on every run.

use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    KeyFlags, PacketTrait, PubKeyInner, PublicKey, PublicSubkey, SecretKey, SecretSubkey,
    Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData, UserId,
};
use pgp::types::{Duration, KeyDetails, KeyVersion, Password, SigningKey, Tag, Timestamp};
use rand_chacha_0_3::ChaCha8Rng;
use rand_chacha_0_3::rand_core::SeedableRng;

/// When keys are made, unless a test says otherwise.
pub const BORN: u32 = 1_600_000_000;
pub const DAY: u32 = 86_400;

/// Makes keys.
pub struct Smith(ChaCha8Rng);

pub struct Primary {
    pub public: PublicKey,
    pub secret: SecretKey,
}

pub struct Sub {
    pub public: PublicSubkey,
    pub secret: SecretSubkey,
}

/// What a signature says about itself.
#[derive(Clone, Debug)]
pub struct Terms {
    pub kind: SignatureType,
    pub made: u32,
    pub digest: HashAlgorithm,
    /// Seconds that the signature lasts.
    pub lasts: Option<u32>,
    /// Seconds that the key lasts.
    pub key_lasts: Option<u32>,
    /// Whether the key may sign data; none: nothing is said.
    pub may_sign: Option<bool>,
}

// === impl Smith ===

impl Smith {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn primary(&mut self, kind: KeyType) -> Primary {
        let (params, secret) = kind.generate(&mut self.0).unwrap();
        let born = Timestamp::from_secs(BORN);
        let inner = PubKeyInner::new(KeyVersion::V4, kind.to_alg(), born, None, params).unwrap();
        let public = PublicKey::from_inner(inner).unwrap();
        let secret = SecretKey::new(public.clone(), secret).unwrap();
        Primary { public, secret }
    }

    pub fn sub(&mut self, kind: KeyType) -> Sub {
        let (params, secret) = kind.generate(&mut self.0).unwrap();
        let born = Timestamp::from_secs(BORN);
        let inner = PubKeyInner::new(KeyVersion::V4, kind.to_alg(), born, None, params).unwrap();
        let public = PublicSubkey::from_inner(inner).unwrap();
        let secret = SecretSubkey::new(public.clone(), secret).unwrap();
        Sub { public, secret }
    }
}

// === impl Terms ===

impl Terms {
    pub fn of(kind: SignatureType) -> Self {
        Self {
            kind,
            made: BORN,
            digest: HashAlgorithm::Sha512,
            lasts: None,
            key_lasts: None,
            may_sign: None,
        }
    }

    /// A signature over a message.
    pub fn text() -> Self {
        Self::of(SignatureType::Text)
    }

    /// A signature over a file.
    pub fn binary() -> Self {
        Self::of(SignatureType::Binary)
    }

    pub fn made(mut self, made: u32) -> Self {
        self.made = made;
        self
    }

    pub fn digest(mut self, digest: HashAlgorithm) -> Self {
        self.digest = digest;
        self
    }

    pub fn lasts(mut self, seconds: u32) -> Self {
        self.lasts = Some(seconds);
        self
    }

    pub fn key_lasts(mut self, seconds: u32) -> Self {
        self.key_lasts = Some(seconds);
        self
    }

    pub fn may_sign(mut self, may: bool) -> Self {
        self.may_sign = Some(may);
        self
    }

    fn config(&self, signer: &impl SigningKey) -> SignatureConfig {
        let mut config = SignatureConfig::v4(self.kind, signer.algorithm(), self.digest);
        let mut said = vec![
            SubpacketData::SignatureCreationTime(Timestamp::from_secs(self.made)),
            SubpacketData::IssuerFingerprint(signer.fingerprint()),
        ];
        said.extend(
            self.lasts
                .map(|one| SubpacketData::SignatureExpirationTime(Duration::from_secs(one))),
        );
        said.extend(
            self.key_lasts
                .map(|one| SubpacketData::KeyExpirationTime(Duration::from_secs(one))),
        );
        said.extend(self.may_sign.map(|may| {
            let mut flags = KeyFlags::default();
            flags.set_sign(may);
            flags.set_certify(!may);
            SubpacketData::KeyFlags(flags)
        }));
        config.hashed_subpackets = said
            .into_iter()
            .map(|one| Subpacket::regular(one).unwrap())
            .collect();
        config
    }

    /// Signs data with a key.
    pub fn sign(&self, signer: &impl SigningKey, data: &[u8]) -> Vec<u8> {
        let config = self.config(signer);
        packet(&config.sign(signer, &Password::empty(), data).unwrap())
    }
}

// === impl Primary ===

impl Primary {
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.public.fingerprint())
    }

    /// The key itself.
    pub fn packet(&self) -> Vec<u8> {
        packet(&self.public)
    }

    /// A name and what the key says about itself with it.
    pub fn named(&self, terms: &Terms) -> Vec<u8> {
        let name = UserId::from_str(Default::default(), "Archive <ftp@example.org>").unwrap();
        let mut bytes = packet(&name);
        bytes.extend(self.over_name(terms, &name));
        bytes
    }

    /// A name that was withdrawn later.
    pub fn withdrawn(&self, terms: &Terms, at: u32) -> Vec<u8> {
        let name = UserId::from_str(Default::default(), "Archive <ftp@example.org>").unwrap();
        let mut bytes = self.named(terms);
        let terms = Terms::of(SignatureType::CertRevocation).made(at);
        bytes.extend(self.over_name(&terms, &name));
        bytes
    }

    /// The smallest certificate.
    pub fn certificate(&self) -> Vec<u8> {
        [self.packet(), self.named(&certification())].concat()
    }

    pub fn revocation(&self, at: u32) -> Vec<u8> {
        self.over_itself(&Terms::of(SignatureType::KeyRevocation).made(at))
    }

    /// A statement over the key itself.
    pub fn over_itself(&self, terms: &Terms) -> Vec<u8> {
        let config = terms.config(&self.secret);
        let signature = config.sign_key(&self.secret, &Password::empty(), &self.public);
        packet(&signature.unwrap())
    }

    /// A subkey with its binding; `back` is who signs that it belongs to this key.
    pub fn bound(&self, sub: &Sub, terms: &Terms, back: Option<&Sub>) -> Vec<u8> {
        let mut config = terms.config(&self.secret);
        if let Some(back) = back {
            let terms = Terms::of(SignatureType::KeyBinding);
            let signature = terms
                .config(&back.secret)
                .sign_primary_key_binding(
                    &back.secret,
                    &back.public,
                    &Password::empty(),
                    &self.public,
                )
                .unwrap();
            let embedded = SubpacketData::EmbeddedSignature(Box::new(signature));
            config
                .unhashed_subpackets
                .push(Subpacket::regular(embedded).unwrap());
        }
        let mut bytes = packet(&sub.public);
        bytes.extend(self.over_subkey(config, sub));
        bytes
    }

    pub fn subkey_revocation(&self, sub: &Sub, at: u32) -> Vec<u8> {
        let terms = Terms::of(SignatureType::SubkeyRevocation).made(at);
        self.over_subkey(terms.config(&self.secret), sub)
    }

    fn over_subkey(&self, config: SignatureConfig, sub: &Sub) -> Vec<u8> {
        let signature =
            config.sign_subkey_binding(&self.secret, &self.public, &Password::empty(), &sub.public);
        packet(&signature.unwrap())
    }

    fn over_name(&self, terms: &Terms, name: &UserId) -> Vec<u8> {
        let signature: Signature = terms
            .config(&self.secret)
            .sign_certification(
                &self.secret,
                &self.public,
                &Password::empty(),
                Tag::UserId,
                name,
            )
            .unwrap();
        packet(&signature)
    }
}

// === impl Sub ===

impl Sub {
    pub fn fingerprint(&self) -> String {
        format!("{:X}", self.public.fingerprint())
    }
}

/// What a key says with its name: it may sign, for ever.
pub fn certification() -> Terms {
    Terms::of(SignatureType::CertPositive).may_sign(true)
}

/// What a primary key says of a signing subkey.
pub fn binding() -> Terms {
    Terms::of(SignatureType::SubkeyBinding).may_sign(true)
}

/// A clearsigned message of `text`, which ends with a line feed, and these signatures.
pub fn clearsigned(text: &str, signatures: &[Vec<u8>]) -> Vec<u8> {
    let mut message = String::from("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n");
    for line in text.lines() {
        let escape = if line.starts_with('-') { "- " } else { "" };
        message.push_str(&format!("{escape}{line}\n"));
    }
    message.push_str(&armoured("PGP SIGNATURE", &signatures.concat()));
    message.into_bytes()
}

pub fn armoured(label: &str, bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let lines = lines.join("\n");
    format!("-----BEGIN {label}-----\n\n{lines}\n-----END {label}-----\n")
}

fn packet(packet: &impl PacketTrait) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.to_writer_with_header(&mut bytes).unwrap();
    bytes
}
