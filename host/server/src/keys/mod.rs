//! Signing keys on disk (RFC 0006): `STATE/keys/<id>.pem` (PKCS#8, 0600) and `<id>.json` with the state.
//!
//! Offline by design: `bootsplice key new|list|export|rotate|retire` work before `serve`. A running host reads the directory whenever it signs, so a
//! rotation needs no restart.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::clock::{Clock, Entropy};
use crate::state::write_private;

/// The directory of keys.
#[derive(Clone, Debug)]
pub struct Keyring {
    directory: PathBuf,
}

/// What is known of a key without its private half: the content of `<id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyInfo {
    /// The first 16 hex digits of SHA-256 of the 32 public bytes.
    pub id: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created: OffsetDateTime,
    pub state: KeyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Signs every archive.
    Active,
    /// Signs nothing any more; kept so that its public half can still be exported.
    Retired,
}

/// A key that signs.
#[derive(Clone)]
pub struct ActiveKey {
    pub id: String,
    pub key: SigningKey,
}

/// Keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Name another key; `bootsplice key list` names them.
    #[error("there is no key `{0}`")]
    Unknown(String),
    /// Make a key with `bootsplice key new`.
    #[error("the key `{0}` is the last active one: make another with `bootsplice key new` first")]
    LastActive(String),
    /// Import those bases again with another trusted key, or keep this one.
    #[error("the key `{id}` is the only active key that these base volumes trust: {}", volumes.join(", "))]
    StillTrusted { id: String, volumes: Vec<String> },
    /// Mend or remove the file.
    #[error("`{}` is not a usable key: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("`{}`: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

// === impl Keyring ===

impl Keyring {
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Makes an active key. The private file is there before the record that makes it count.
    pub fn create(&self, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<KeyInfo, KeyError> {
        let key = SigningKey::from_bytes(&entropy.array());
        let id = id_of(key.verifying_key().as_bytes());
        let path = self.private(&id);
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|error| damaged(&path, error))?;
        write_private(&path, pem.as_bytes()).map_err(|error| io_error(&path, error))?;
        let info = KeyInfo {
            id,
            created: clock.now(),
            state: KeyState::Active,
        };
        self.record(&info)?;
        Ok(info)
    }

    /// All keys, oldest first.
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io_error(&self.directory, error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| io_error(&self.directory, error))?
                .path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                keys.push(read_info(&path)?);
            }
        }
        keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(keys)
    }

    /// The keys that sign, oldest first.
    pub fn active(&self) -> Result<Vec<ActiveKey>, KeyError> {
        let keys = self.list()?.into_iter();
        keys.filter(|info| info.state == KeyState::Active)
            .map(|info| {
                let key = self.read(&info.id)?;
                Ok(ActiveKey { id: info.id, key })
            })
            .collect()
    }

    /// The public half as SPKI PEM, which a guest keeps in `/etc/bootsplice/keys.d/`.
    pub fn export(&self, id: &str) -> Result<String, KeyError> {
        let info = self.info(id)?;
        let path = self.private(&info.id);
        self.read(&info.id)?
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| damaged(&path, error))
    }

    /// Stops a key from signing. `volumes` are the base volumes of the catalogue with the ids that each trusts.
    pub fn retire(&self, id: &str, volumes: &[(String, Vec<String>)]) -> Result<KeyInfo, KeyError> {
        let mut info = self.info(id)?;
        if info.state == KeyState::Retired {
            return Ok(info);
        }
        let others: Vec<_> = self
            .list()?
            .into_iter()
            .filter(|other| other.state == KeyState::Active && other.id != info.id)
            .map(|other| other.id)
            .collect();
        if others.is_empty() {
            return Err(KeyError::LastActive(info.id));
        }
        let needed: Vec<_> = volumes
            .iter()
            .filter(|(_, trusted)| {
                trusted.contains(&info.id) && !others.iter().any(|other| trusted.contains(other))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if !needed.is_empty() {
            return Err(KeyError::StillTrusted {
                id: info.id,
                volumes: needed,
            });
        }
        info.state = KeyState::Retired;
        self.record(&info)?;
        Ok(info)
    }

    fn info(&self, id: &str) -> Result<KeyInfo, KeyError> {
        // Ids come from command lines: nothing but hex digits may become a path.
        let plain = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = self.directory.join(format!("{id}.json"));
        if !plain || !path.exists() {
            return Err(KeyError::Unknown(id.chars().take(80).collect()));
        }
        read_info(&path)
    }

    fn record(&self, info: &KeyInfo) -> Result<(), KeyError> {
        let path = self.directory.join(format!("{}.json", info.id));
        let text = serde_json::to_vec(info).map_err(|error| damaged(&path, error))?;
        write_private(&path, &text).map_err(|error| io_error(&path, error))
    }

    fn private(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.pem"))
    }

    fn read(&self, id: &str) -> Result<SigningKey, KeyError> {
        let path = self.private(id);
        let metadata = fs::metadata(&path).map_err(|error| io_error(&path, error))?;
        let mode = metadata.permissions().mode();
        if mode & 0o077 != 0 {
            let why = format!(
                "its mode is {:04o}, and others must not read it: chmod 600",
                mode & 0o7777
            );
            return Err(damaged(&path, why));
        }
        let pem = fs::read_to_string(&path).map_err(|error| io_error(&path, error))?;
        let key = SigningKey::from_pkcs8_pem(&pem).map_err(|error| damaged(&path, error))?;
        let actual = id_of(key.verifying_key().as_bytes());
        if actual != id {
            return Err(damaged(&path, format!("it holds the key `{actual}`")));
        }
        Ok(key)
    }
}

/// The short name of a public key.
pub fn id_of(public: &[u8; 32]) -> String {
    hex::encode(&Sha256::digest(public)[..8])
}

fn read_info(path: &Path) -> Result<KeyInfo, KeyError> {
    let text = fs::read(path).map_err(|error| io_error(path, error))?;
    serde_json::from_slice(&text).map_err(|error| damaged(path, error))
}

fn damaged(path: &Path, why: impl ToString) -> KeyError {
    KeyError::Damaged {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn io_error(path: &Path, error: io::Error) -> KeyError {
    KeyError::Io {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SystemClock, SystemEntropy};

    fn keyring() -> (tempfile::TempDir, Keyring) {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keyring::at(directory.path());
        (directory, keys)
    }

    fn create(keys: &Keyring) -> KeyInfo {
        keys.create(&SystemClock, &SystemEntropy).unwrap()
    }

    #[test]
    fn a_key_is_private_on_disk_and_its_public_half_is_exported() {
        let (directory, keys) = keyring();
        let info = create(&keys);
        let path = directory.path().join(format!("{}.pem", info.id));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let pem = keys.export(&info.id).unwrap();
        assert!(pem.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{pem}");
        assert_eq!(keys.list().unwrap(), std::slice::from_ref(&info));
        assert_eq!(keys.active().unwrap()[0].id, info.id);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refused = keys.active().map(drop).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn the_last_active_key_and_one_that_a_base_needs_are_not_retired() {
        let (_directory, keys) = keyring();
        let first = create(&keys);
        let only = keys.retire(&first.id, &[]).unwrap_err();
        assert!(matches!(only, KeyError::LastActive(_)), "{only}");
        let second = create(&keys);
        let base = |trusted: &[&KeyInfo]| {
            let ids = trusted.iter().map(|info| info.id.clone()).collect();
            vec![("debian-12".to_owned(), ids)]
        };
        let needed = keys.retire(&first.id, &base(&[&first])).unwrap_err();
        assert!(needed.to_string().contains("debian-12"), "{needed}");
        keys.retire(&first.id, &base(&[&first, &second])).unwrap();
        let active: Vec<_> = keys
            .active()
            .unwrap()
            .into_iter()
            .map(|key| key.id)
            .collect();
        assert_eq!(active, [second.id]);
        keys.export(&first.id).unwrap();
    }

    #[test]
    fn an_id_that_is_no_id_never_becomes_a_path() {
        let (_directory, keys) = keyring();
        for wrong in [
            "",
            "../../etc/passwd",
            "0123456789abcdeg",
            "0123456789abcdef",
        ] {
            let refused = keys.export(wrong).unwrap_err();
            assert!(matches!(refused, KeyError::Unknown(_)), "{wrong}");
        }
    }

    #[test]
    fn a_swapped_key_file_is_noticed() {
        let (directory, keys) = keyring();
        let (first, second) = (create(&keys), create(&keys));
        let path = |info: &KeyInfo| directory.path().join(format!("{}.pem", info.id));
        fs::copy(path(&first), path(&second)).unwrap();
        assert!(keys.export(&second.id).is_err());
    }
}
