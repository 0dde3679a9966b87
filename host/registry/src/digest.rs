//! Digests of blobs and manifests: SHA-256 and SHA-512 (OCI image specification, "Digests").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use crate::name::{NameError, NameKind};

/// How a digest is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Algorithm {
    #[default]
    Sha256,
    Sha512,
}

/// The digest of a blob or manifest: `sha256:` and 64, or `sha512:` and 128 lower-case hex digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentDigest {
    algorithm: Algorithm,
    hex: String,
}

/// A digest over bytes that arrive in pieces.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

// === impl Algorithm ===

impl Algorithm {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl FromStr for Algorithm {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(NameError::new(text, NameKind::Algorithm)),
        }
    }
}

// === impl ContentDigest ===

impl ContentDigest {
    /// The digest of `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for ContentDigest {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::new(text, NameKind::Digest);
        let (algorithm, hex) = text.split_once(':').ok_or_else(wrong)?;
        let algorithm: Algorithm = algorithm.parse().map_err(|_| wrong())?;
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if hex.len() != algorithm.digits() || !hex.bytes().all(digit) {
            return Err(wrong());
        }
        let hex = hex.to_owned();
        Ok(Self { algorithm, hex })
    }
}

impl TryFrom<String> for ContentDigest {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<ContentDigest> for String {
    fn from(digest: ContentDigest) -> Self {
        digest.to_string()
    }
}

impl From<bootsplice_content::Digest> for ContentDigest {
    fn from(digest: bootsplice_content::Digest) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            hex: digest.hex(),
        }
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Hasher ===

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Box::new(Sha512::new())),
        }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(crate) fn finish(self) -> ContentDigest {
        let algorithm = self.algorithm();
        let hex = match self {
            Self::Sha256(hasher) => hex::encode(hasher.finalize()),
            Self::Sha512(hasher) => hex::encode(hasher.finalize()),
        };
        ContentDigest { algorithm, hex }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_algorithms_in_their_one_form_are_digests() {
        let of_nothing = ContentDigest::of(Algorithm::Sha256, b"");
        assert_eq!(
            of_nothing.to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let text = ContentDigest::of(Algorithm::Sha512, b"x").to_string();
        assert_eq!(text.parse::<ContentDigest>().unwrap().to_string(), text);
        let short = "0".repeat(64);
        let upper = format!("sha256:{}", "A".repeat(64));
        let short_512 = format!("sha512:{short}");
        let dots = format!("sha256:../{}", "a".repeat(61));
        for bad in [
            "",
            ":",
            "sha256:",
            "sha256:bad",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &short,
            &upper,
            &short_512,
            &dots,
        ] {
            assert!(bad.parse::<ContentDigest>().is_err(), "{bad}");
        }
    }
}
