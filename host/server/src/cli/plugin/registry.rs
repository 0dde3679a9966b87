//! What commands that talk to a registry share.

use bootsplice_signature::{PublicKey, SecretKey};
use std::path::Path;

use crate::cli::exit::Code;
use crate::cli::{Failure, Global};
use crate::oci::reference::Reference;
use crate::oci::remote::{Access, Remote, RemoteError};

/// The registry that `reference` lies in, with the credentials for it.
pub fn open(global: &Global, reference: &Reference) -> Result<Remote, Failure> {
    let user = std::env::var("BOOTSPLICE_REGISTRY_USER").ok();
    let password = std::env::var("BOOTSPLICE_REGISTRY_PASSWORD").ok();
    let access = Access {
        url: &global.url,
        token: global.token.as_deref(),
        authority: global.ca.as_deref(),
        elsewhere: user.zip(password),
    };
    Remote::open(reference, &access).map_err(failed)
}

pub fn failed(error: RemoteError) -> Failure {
    let code = match &error {
        RemoteError::Setup(_) => Code::Usage,
        RemoteError::NotFound(_) => Code::NotFound,
        RemoteError::NotAllowed(_) => Code::NotAllowed,
        RemoteError::Refused(_) => Code::Invalid,
        RemoteError::Unavailable(_) => Code::Unavailable,
    };
    Failure::new(code, error.to_string())
}

pub fn secret_key(path: &Path) -> Result<SecretKey, Failure> {
    let pem = zeroize::Zeroizing::new(read(path)?);
    SecretKey::from_pem(&pem)
        .map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))
}

pub fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read(path)?)
        .map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read `{}`: {error}", path.display())))
}
