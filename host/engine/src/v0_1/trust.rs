//! `trust`: signatures and the replay guard. Only in `resolve`.

use std::io::Write;

use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::trust::{self as guest, Host, Keyring};
use crate::blobs::Blob;
use crate::error::GeneratorError;
use crate::key::canonical_digest;
use crate::run::{Phase, Run};
use crate::tape::Asked;
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
        let (signed, beside, held) = (content.clone(), detached.clone(), keyrings.clone());
        let asked = move || asked(&signed, beside.as_ref(), &held);
        let (now, store) = (self.clock.clone(), self.store.clone());
        let signed = content.clone();
        let real = async move {
            let now = now();
            let work = move || trust::verify(&signed, detached.as_ref(), &keyrings, now);
            let verified = tokio::task::spawn_blocking(work)
                .await
                // Whatever foreign bytes do to the parser, they are not trusted, and nothing else comes of it.
                .map_err(|_| {
                    Distrust::Malformed.because("the signature or a key broke the verifier")
                })??;
            let text = verified.text.map(|text| {
                let mut spool = store.spool();
                spool.write_all(&text).and_then(|()| spool.finish())
            });
            let text = text
                .transpose()
                .map_err(GeneratorError::host("spooling a signed text"))?;
            Ok((text, verified.signatures))
        };
        let (text, signatures) = self.outside().exchange(&self.store, asked, real).await?;
        let content = match text {
            None => content,
            Some(text) => {
                self.scratch(text.size())?;
                text
            }
        };
        Ok(guest::Verified {
            content: self.give(content)?,
            signatures: signatures.into_iter().map(signature).collect(),
        })
    }

    async fn seen(&mut self, key: String, value: u64) -> Result<Option<u64>, GeneratorError> {
        self.reach.only_in(&[Phase::Resolve], "trust")?;
        let now = (self.clock)();
        let (outside, store) = (self.outside(), self.store.clone());
        let known = key.clone();
        let asked = || Ok(Asked::Seen { key: known, value });
        let real = async { Ok((None, self.seen.note(key, value, now).await?)) };
        let (_, known) = outside.exchange(&store, asked, real).await?;
        Ok(known)
    }
}

fn asked(
    content: &Blob,
    detached: Option<&Blob>,
    keyrings: &[trust::Keyring],
) -> Result<Asked, GeneratorError> {
    let digest = |blob: &Blob| {
        blob.digest()
            .map_err(GeneratorError::host("hashing a blob"))
    };
    Ok(Asked::Verify {
        content: digest(content)?,
        detached: detached.map(digest).transpose()?,
        keyrings: canonical_digest(&keyrings),
    })
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
