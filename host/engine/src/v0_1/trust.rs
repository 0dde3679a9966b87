//! `trust`: signatures and the replay guard. Only in `resolve`.

use std::io::Write;

use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::trust::{self as guest, Host, Keyring};
use crate::blobs::Blob;
use crate::error::GeneratorError;
use crate::run::{Phase, Run};
use crate::trust::{self, Distrust};

impl Host for Run {
    async fn verify(
        &mut self,
        content: Resource<Blob>,
        detached: Option<Resource<Blob>>,
        keyrings: Vec<Keyring>,
    ) -> Result<guest::Verified, GeneratorError> {
        self.reach.only_in(&[Phase::Resolve], "trust")?;
        let content = self.blob(&content)?;
        let detached = detached.map(|blob| self.blob(&blob)).transpose()?;
        let keyrings: Vec<trust::Keyring> = keyrings.into_iter().map(keyring).collect();
        let now = (self.clock)();
        let signed = content.clone();
        let verified = tokio::task::spawn_blocking(move || {
            trust::verify(&signed, detached.as_ref(), &keyrings, now)
        })
        .await
        // Whatever foreign bytes do to the parser, they are not trusted, and nothing else comes of it.
        .map_err(|_| Distrust::Malformed.because("the signature or a key broke the verifier"))??;
        let content = match verified.text {
            None => content,
            Some(text) => {
                self.scratch(text.len() as u64)?;
                let mut spool = self.store.spool();
                spool
                    .write_all(&text)
                    .and_then(|()| spool.finish())
                    .map_err(GeneratorError::host("spooling a signed text"))?
            }
        };
        Ok(guest::Verified {
            content: self.give(content)?,
            signatures: verified.signatures.into_iter().map(signature).collect(),
        })
    }

    async fn seen(&mut self, key: String, value: u64) -> Result<Option<u64>, GeneratorError> {
        self.reach.only_in(&[Phase::Resolve], "trust")?;
        let now = (self.clock)();
        self.seen.note(key, value, now).await
    }
}

fn keyring(keyring: Keyring) -> trust::Keyring {
    trust::Keyring {
        certificates: keyring.certificates,
        allowed: keyring
            .allowed
            .into_iter()
            .map(|rule| trust::KeyRule {
                fingerprint: rule.fingerprint,
                exact: rule.exact,
            })
            .collect(),
    }
}

fn signature(good: trust::GoodSignature) -> guest::Signature {
    guest::Signature {
        fingerprint: good.fingerprint,
        primary: good.primary,
        made: good.made,
    }
}
