//! Secrets at rest: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) under one key file.
//!
//! A sealed value is `1` (format), 24 bytes of nonce, the ciphertext with its tag. The key of its record is the associated data, so a sealed value that
//! is moved to another record does not open.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::StoreError;

const FORMAT: u8 = 1;
const NONCE: usize = 24;
const KEY: usize = 32;

/// Seals and opens with the key of one state directory.
#[derive(Clone)]
pub struct Seal {
    cipher: XChaCha20Poly1305,
}

// === impl Seal ===

impl Seal {
    pub fn new(key: &[u8; KEY]) -> Self {
        Self {
            cipher: XChaCha20Poly1305::new(key.into()),
        }
    }

    /// Reads the key at `path`, or writes `fresh` there, mode 0600, durable. A key that others may read is refused.
    pub fn open_or_create(path: &Path, fresh: &[u8; KEY]) -> Result<Self, StoreError> {
        let unavailable =
            |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
        {
            Ok(mut file) => {
                file.write_all(fresh).map_err(unavailable)?;
                file.sync_all().map_err(unavailable)?;
                if let Some(directory) = path.parent() {
                    let directory = fs::File::open(directory).map_err(unavailable)?;
                    directory.sync_all().map_err(unavailable)?;
                }
                Ok(Self::new(fresh))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn read(path: &Path) -> Result<Self, StoreError> {
        let unavailable =
            |error: io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        let damaged = |why: String| StoreError::Damaged {
            what: path.display().to_string(),
            why,
        };
        let file = fs::File::open(path).map_err(unavailable)?;
        let mode = file.metadata().map_err(unavailable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(damaged(format!(
                "its mode is {:04o}, and others must not read it: chmod 600",
                mode & 0o7777
            )));
        }
        let mut bytes = Vec::with_capacity(KEY + 1);
        file.take(KEY as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(unavailable)?;
        let key: &[u8; KEY] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| damaged(format!("a key has {KEY} bytes, this file {}", bytes.len())))?;
        Ok(Self::new(key))
    }

    /// Hides `plain` for the record under `key`. A nonce is random and used once.
    pub fn seal(&self, key: &str, nonce: [u8; NONCE], plain: &[u8]) -> Vec<u8> {
        let payload = Payload {
            msg: plain,
            aad: key.as_bytes(),
        };
        let hidden = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a value in memory is shorter than the cipher's 256 GiB");
        let mut sealed = Vec::with_capacity(1 + NONCE + hidden.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&hidden);
        sealed
    }

    /// What was sealed for the record under `key`.
    pub fn open(&self, key: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let damaged = |why: &str| StoreError::Damaged {
            what: key.to_owned(),
            why: why.to_owned(),
        };
        let (format, rest) = sealed.split_first().ok_or_else(|| damaged("it is empty"))?;
        if *format == 0 {
            return Err(damaged("its format is unknown"));
        }
        if *format > FORMAT {
            return Err(StoreError::Newer {
                what: key.to_owned(),
                found: u64::from(*format),
                known: u64::from(FORMAT),
            });
        }
        let (nonce, hidden) = rest
            .split_first_chunk::<NONCE>()
            .ok_or_else(|| damaged("it is too short"))?;
        let payload = Payload {
            msg: hidden,
            aad: key.as_bytes(),
        };
        self.cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| damaged("it does not open with this host's key"))
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_for_its_own_record_and_key() {
        let seal = Seal::new(&[7; 32]);
        let sealed = seal.seal("secrets/a/x", [1; 24], b"canary");
        assert!(!sealed.windows(6).any(|part| part == b"canary"));
        assert_eq!(seal.open("secrets/a/x", &sealed).unwrap(), b"canary");
        assert!(seal.open("secrets/b/x", &sealed).is_err(), "another record");
        assert!(Seal::new(&[8; 32]).open("secrets/a/x", &sealed).is_err());
    }

    #[test]
    fn every_flipped_bit_of_a_sealed_value_is_refused() {
        let seal = Seal::new(&[7; 32]);
        let sealed = seal.seal("k", [1; 24], b"canary");
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(seal.open("k", &bad).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(seal.open("k", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn the_key_file_is_made_once_and_refused_when_others_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secrets.key");
        let first = Seal::open_or_create(&path, &[1; 32]).unwrap();
        let again = Seal::open_or_create(&path, &[2; 32]).unwrap();
        let sealed = first.seal("k", [0; 24], b"x");
        assert_eq!(again.open("k", &sealed).unwrap(), b"x");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = Seal::open_or_create(&path, &[1; 32]).unwrap_err();
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        fs::write(&path, b"short").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Seal::open_or_create(&path, &[1; 32]).is_err());
    }
}
