//! `bootsplice plugin sign`, `verify` and `keygen`: key signatures as cosign keeps them.

use std::path::PathBuf;

use bootsplice_signature::{Requirement, SecretKey, TrustedKey};
use clap::Args;
use serde::Serialize;

use super::registry::{failed, open, public_key, secret_key};
use crate::cli::exit::Code;
use crate::cli::{Failure, Global, Output};
use crate::clock::{Entropy, SystemEntropy};
use crate::oci::reference::Reference;
use crate::oci::signatures;
use crate::state::write_private;

const SIGN: &str = "\
Examples:
  bootsplice plugin keygen release                     # release.key, release.pub
  bootsplice plugin sign acme/hello:1.2.0 --key release.key

`cosign sign --key` makes the same signatures, and `cosign verify --key release.pub` understands these.";

/// Sign a pushed component with a key of yours.
#[derive(Args)]
#[command(after_help = SIGN)]
pub struct Sign {
    /// `[HOST/]NAMESPACE/NAME:VERSION`.
    reference: Reference,
    /// PEM file of the private key: ECDSA P-256 or Ed25519, not encrypted.
    #[arg(long)]
    key: PathBuf,
}

/// Verify that keys have signed a pushed component.
#[derive(Args)]
#[command(
    after_help = "Example: bootsplice plugin verify acme/hello:1.2.0 --key ada.pub --key grace.pub --threshold 2"
)]
pub struct Verify {
    /// `[HOST/]NAMESPACE/NAME:VERSION`.
    reference: Reference,
    /// PEM file of a public key. Give it once for each key.
    #[arg(long, required = true)]
    key: Vec<PathBuf>,
    /// How many of the keys must have signed; all of them unless said otherwise.
    #[arg(long)]
    threshold: Option<usize>,
}

/// Make a key to sign components with.
#[derive(Args)]
#[command(
    after_help = "Example: bootsplice plugin keygen release    # writes release.key, for you alone, and release.pub"
)]
pub struct Keygen {
    /// Where the two files go, without `.key` and `.pub`.
    name: PathBuf,
}

#[derive(Serialize)]
struct Told {
    reference: String,
    manifest: String,
    key: String,
    added: bool,
    signatures: usize,
}

#[derive(Serialize)]
struct Judged {
    reference: String,
    manifest: String,
    signed: Vec<String>,
    missing: Vec<String>,
    threshold: usize,
}

#[derive(Serialize)]
struct Made {
    id: String,
    private: PathBuf,
    public: PathBuf,
}

// === impl Sign ===

impl Sign {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let key = secret_key(&self.key)?;
        let remote = open(global, &self.reference)?;
        let outcome = signatures::sign(&remote, &key).await.map_err(failed)?;
        let told = Told {
            reference: self.reference.to_string(),
            manifest: outcome.manifest.to_string(),
            key: key.public().id(),
            added: outcome.added,
            signatures: outcome.signatures,
        };
        output.answer(&told, || {
            let what = if told.added {
                "signed"
            } else {
                "had signed before"
            };
            format!(
                "key {} {what} {} ({}); {} signatures stand there",
                told.key, told.reference, told.manifest, told.signatures
            )
        });
        Ok(())
    }
}

// === impl Verify ===

impl Verify {
    pub async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let mut keys = Vec::new();
        for path in &self.key {
            let name = path.file_name().unwrap_or(path.as_os_str());
            let name = name.to_string_lossy().into_owned();
            keys.push(TrustedKey {
                name,
                key: public_key(path)?,
            });
        }
        let threshold = self.threshold.unwrap_or(keys.len());
        let requirement =
            Requirement::new(keys, threshold).map_err(|error| Failure::usage(error.to_string()))?;
        let remote = open(global, &self.reference)?;
        let (manifest, found) = signatures::found(&remote).await.map_err(failed)?;
        let verdict = requirement.judge(&manifest, &found);
        if !verdict.holds() {
            let message = format!(
                "{} ({manifest}) is signed by {} of these keys, {} must have: no good signature of {}",
                self.reference,
                verdict.signed.len(),
                verdict.threshold,
                verdict.missing.join(", ")
            );
            return Err(Failure::new(Code::NotAllowed, message));
        }
        let judged = Judged {
            reference: self.reference.to_string(),
            manifest: manifest.to_string(),
            signed: verdict.signed,
            missing: verdict.missing,
            threshold: verdict.threshold,
        };
        output.answer(&judged, || {
            format!(
                "{} ({}) is signed by {}",
                judged.reference,
                judged.manifest,
                judged.signed.join(", ")
            )
        });
        Ok(())
    }
}

// === impl Keygen ===

impl Keygen {
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let key = std::iter::repeat_with(|| <dyn Entropy>::array(&SystemEntropy))
            .find_map(|bytes| SecretKey::from_random(&bytes))
            .ok_or_else(|| Failure::new(Code::Failure, "the system gives no randomness"))?;
        let name = self.name.to_string_lossy().into_owned();
        let made = Made {
            id: key.public().id(),
            private: PathBuf::from(format!("{name}.key")),
            public: PathBuf::from(format!("{name}.pub")),
        };
        for path in [&made.private, &made.public] {
            if path.exists() {
                let message = format!(
                    "`{}` is there already; a key is never written over",
                    path.display()
                );
                return Err(Failure::new(Code::Conflict, message));
            }
        }
        let wrong = |error: bootsplice_signature::SignatureError| {
            Failure::new(Code::Failure, error.to_string())
        };
        let private = key.to_pem().map_err(wrong)?;
        let public = key.public().to_pem().map_err(wrong)?;
        let io = |path: &PathBuf| {
            let path = path.display().to_string();
            move |error: std::io::Error| {
                Failure::new(Code::Failure, format!("cannot write `{path}`: {error}"))
            }
        };
        write_private(&made.private, private.as_bytes()).map_err(io(&made.private))?;
        std::fs::write(&made.public, public).map_err(io(&made.public))?;
        output.answer(&made, || {
            format!(
                "key {}\n  private  {}\n  public   {}",
                made.id,
                made.private.display(),
                made.public.display()
            )
        });
        Ok(())
    }
}
