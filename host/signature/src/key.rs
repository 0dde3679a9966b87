//! Keys as PEM: public ones as SPKI, secret ones as PKCS#8, of ECDSA P-256 (what cosign makes) and Ed25519.

use std::fmt;

use bootsplice_content::Digest;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::pkcs8 as pkcs8_p256;
use zeroize::Zeroizing;

use crate::SignatureError;

/// Largest PEM file that is read, in bytes.
pub const MAX_PEM: usize = 16 << 10;

/// A key that judges signatures.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// A key that signs. Wiped when dropped.
pub enum SecretKey {
    P256(p256::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

// === impl PublicKey ===

impl PublicKey {
    /// From `-----BEGIN PUBLIC KEY-----`.
    pub fn from_pem(pem: &str) -> Result<Self, SignatureError> {
        let pem = bounded(pem)?;
        if pem.contains("PRIVATE KEY") {
            return Err(SignatureError::Key(
                "it is a private key; a requirement takes the public half (`openssl pkey -pubout`, `cosign.pub`)".into(),
            ));
        }
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            return Ok(Self::Ed25519(key));
        }
        pkcs8_p256::DecodePublicKey::from_public_key_pem(pem)
            .map(Self::P256)
            .map_err(|error| {
                SignatureError::Key(format!(
                    "expected a PEM public key of ECDSA P-256 or Ed25519: {error}"
                ))
            })
    }

    pub fn to_pem(&self) -> Result<String, SignatureError> {
        match self {
            Self::P256(key) => pkcs8_p256::EncodePublicKey::to_public_key_pem(key, LineEnding::LF)
                .map_err(|error| SignatureError::Key(error.to_string())),
            Self::Ed25519(key) => key
                .to_public_key_pem(LineEnding::LF)
                .map_err(|error| SignatureError::Key(error.to_string())),
        }
    }

    /// The key's name: the first 16 hex digits of SHA-256 over its bytes (for P-256 the compressed point).
    pub fn id(&self) -> String {
        let digest = match self {
            Self::P256(key) => Digest::of(key.to_encoded_point(true).as_bytes()),
            Self::Ed25519(key) => Digest::of(key.as_bytes()),
        };
        digest.hex()[..16].to_owned()
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Strict: a signature that more than one message or key could claim counts for none.
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

// === impl SecretKey ===

impl SecretKey {
    /// A new P-256 key, as `cosign generate-key-pair` makes one, from 32 random bytes. None for the few values (zero, and those from the
    /// curve's order on) that are no key: take others.
    pub fn from_random(bytes: &[u8; 32]) -> Option<Self> {
        p256::ecdsa::SigningKey::from_slice(bytes)
            .ok()
            .map(Self::P256)
    }

    /// From `-----BEGIN PRIVATE KEY-----` (PKCS#8, not encrypted), or `-----BEGIN EC PRIVATE KEY-----` as older tools write P-256.
    pub fn from_pem(pem: &str) -> Result<Self, SignatureError> {
        let pem = bounded(pem)?;
        if pem.contains("ENCRYPTED") {
            return Err(SignatureError::Key(
                "it is encrypted; give it unencrypted through a file that only you can read, or sign with cosign itself: \
                 its signatures are understood"
                    .into(),
            ));
        }
        if let Ok(key) = ed25519_dalek::SigningKey::from_pkcs8_pem(pem) {
            return Ok(Self::Ed25519(key));
        }
        let read = if pem.contains("EC PRIVATE KEY") {
            p256::SecretKey::from_sec1_pem(pem)
                .map(p256::ecdsa::SigningKey::from)
                .map_err(|error| error.to_string())
        } else {
            pkcs8_p256::DecodePrivateKey::from_pkcs8_pem(pem).map_err(|error| error.to_string())
        };
        read.map(Self::P256).map_err(|error| {
            SignatureError::Key(format!(
                "expected a PEM private key of ECDSA P-256 or Ed25519: {error}"
            ))
        })
    }

    /// PKCS#8 PEM; the text is wiped when dropped.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, SignatureError> {
        match self {
            Self::P256(key) => pkcs8_p256::EncodePrivateKey::to_pkcs8_pem(key, LineEnding::LF)
                .map_err(|error| SignatureError::Key(error.to_string())),
            Self::Ed25519(key) => key
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|error| SignatureError::Key(error.to_string())),
        }
    }

    pub fn public(&self) -> PublicKey {
        match self {
            Self::P256(key) => PublicKey::P256(*key.verifying_key()),
            Self::Ed25519(key) => PublicKey::Ed25519(key.verifying_key()),
        }
    }

    /// The same message gives the same signature (RFC 6979, RFC 8032).
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_der().as_bytes().to_vec()
            }
            Self::Ed25519(key) => ed25519_dalek::Signer::sign(key, message).to_vec(),
        }
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

fn bounded(pem: &str) -> Result<&str, SignatureError> {
    if pem.len() > MAX_PEM {
        return Err(SignatureError::Key(format!(
            "it has {} bytes; a PEM key has at most {MAX_PEM}",
            pem.len()
        )));
    }
    Ok(pem.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ed25519() -> SecretKey {
        SecretKey::Ed25519(ed25519_dalek::SigningKey::from_bytes(&[7; 32]))
    }

    #[test]
    fn keys_of_both_kinds_come_back_from_pem_and_sign() {
        for key in [SecretKey::from_random(&[9; 32]).unwrap(), ed25519()] {
            let again = SecretKey::from_pem(&key.to_pem().unwrap()).unwrap();
            let public = PublicKey::from_pem(&key.public().to_pem().unwrap()).unwrap();
            assert_eq!(again.public(), public);
            let signature = again.sign(b"payload");
            assert_eq!(signature, key.sign(b"payload"));
            assert!(public.verifies(b"payload", &signature));
            assert!(!public.verifies(b"payloae", &signature));
            for at in 0..signature.len() {
                let mut bad = signature.clone();
                bad[at] ^= 1;
                assert!(!public.verifies(b"payload", &bad), "byte {at}");
            }
        }
        assert!(!ed25519().public().verifies(
            b"payload",
            &SecretKey::from_random(&[9; 32]).unwrap().sign(b"payload")
        ));
    }

    #[test]
    fn a_number_that_is_no_key_is_told() {
        assert!(SecretKey::from_random(&[0; 32]).is_none());
        assert!(SecretKey::from_random(&[255; 32]).is_none());
    }

    #[test]
    fn a_key_of_the_wrong_kind_says_what_was_expected() {
        let secret = ed25519().to_pem().unwrap();
        let told = PublicKey::from_pem(&secret).unwrap_err().to_string();
        assert!(told.contains("private key"), "{told}");
        let told = SecretKey::from_pem("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----")
            .unwrap_err()
            .to_string();
        assert!(told.contains("encrypted"), "{told}");
        assert!(PublicKey::from_pem("nonsense").is_err());
        assert!(PublicKey::from_pem(&"x".repeat(MAX_PEM + 1)).is_err());
    }

    #[test]
    fn what_is_printed_for_debugging_holds_no_secret() {
        let key = ed25519();
        assert_eq!(
            format!("{key:?}"),
            format!("SecretKey({})", key.public().id())
        );
    }
}
