//! Signing keys as files: PKCS#8 and SPKI PEM (RFC 8410), and their short ids (RFC 0006).

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
pub use ed25519_dalek::{SigningKey, VerifyingKey};

use bootsplice_content::Digest;

use crate::ArchiveError;

/// The name of a key: the first 16 hex digits of SHA-256 over its 32 public bytes. Trust is by the whole key.
pub fn key_id(key: &VerifyingKey) -> String {
    Digest::of(key.as_bytes()).hex()[..16].to_owned()
}

/// A public key from `-----BEGIN PUBLIC KEY-----`.
pub fn read_public(pem: &str) -> Result<VerifyingKey, ArchiveError> {
    VerifyingKey::from_public_key_pem(pem).map_err(|error| ArchiveError::Key(error.to_string()))
}

pub fn write_public(key: &VerifyingKey) -> Result<String, ArchiveError> {
    key.to_public_key_pem(LineEnding::LF)
        .map_err(|error| ArchiveError::Key(error.to_string()))
}

/// A private key from `-----BEGIN PRIVATE KEY-----`.
pub fn read_private(pem: &str) -> Result<SigningKey, ArchiveError> {
    SigningKey::from_pkcs8_pem(pem).map_err(|error| ArchiveError::Key(error.to_string()))
}

/// PKCS#8 PEM; the text is wiped when dropped.
pub fn write_private(
    key: &SigningKey,
) -> Result<impl std::ops::Deref<Target = String>, ArchiveError> {
    key.to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| ArchiveError::Key(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_openssl_shaped() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let private = write_private(&key).unwrap();
        assert!(private.starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(read_private(&private).unwrap(), key);
        let public = write_public(&key.verifying_key()).unwrap();
        assert!(public.starts_with("-----BEGIN PUBLIC KEY-----"));
        assert_eq!(read_public(&public).unwrap(), key.verifying_key());
        assert_eq!(key_id(&key.verifying_key()).len(), 16);
        assert!(read_public("no key").is_err());
    }
}
