//! Locks and sinks on their way into a guest and out of it.

use std::sync::Arc;

use bootsplice_content::Digest;
use parking_lot::Mutex;
use wasmtime::component::Resource;

use super::archive::Sink;
use super::bindings::exports::bootsplice::generator::generator::{
    LockFile, Locked, Pin as GuestPin,
};
use super::blobs::{blocking, foreign};
use crate::blobs::Scope;
use crate::content::StepBuilder;
use crate::contract::{Pin, Quota, StepLock};
use crate::error::GeneratorError;
use crate::grant;
use crate::run::Run;

const MAX_PINS: usize = 20_000;
const MAX_PIN_TEXT: usize = 4096;
const MAX_STATE: u64 = 256 << 20;

impl Run {
    /// A lock as the guest sees it. Its state is taken from the store in the lock's own scope.
    pub(crate) fn lock_in(&mut self, lock: &StepLock) -> Result<Locked, GeneratorError> {
        let state = match lock.state {
            None => None,
            Some(digest) => {
                let found = self
                    .store
                    .admitted([&lock.scope], &digest)
                    .map_err(GeneratorError::host("reading the lock's state"))?;
                let (blob, _) = found.ok_or_else(|| {
                    GeneratorError::NotFound(format!(
                        "state {digest} of the lock is gone; make a new lock"
                    ))
                })?;
                Some(self.hand_out(blob).map_err(|_| self.handles_full())?)
            }
        };
        self.widen(&lock.scope);
        Ok(Locked {
            pins: lock.pins.iter().map(to_guest).collect(),
            state,
        })
    }

    /// Checks what `resolve` answered and makes it a lock.
    pub(crate) async fn lock_out(
        mut self,
        answer: LockFile,
        plugin: Digest,
        epoch: u64,
    ) -> Result<StepLock, GeneratorError> {
        if answer.pins.len() > MAX_PINS {
            return Err(GeneratorError::quota(
                Quota::FetchCount,
                format!("a lock has at most {MAX_PINS} pins"),
            ));
        }
        let mut pins = Vec::with_capacity(answer.pins.len());
        for pin in answer.pins {
            pins.push(self.pin(pin).await?);
        }
        let scope = self.scope.clone();
        let state = match answer.state {
            None => None,
            Some(handle) => {
                let blob = self.table.get(&handle).map_err(foreign)?.clone();
                if blob.size() > MAX_STATE {
                    return Err(GeneratorError::quota(
                        Quota::OutputBytes,
                        format!(
                            "a lock's state has {} bytes; {MAX_STATE} are allowed",
                            blob.size()
                        ),
                    ));
                }
                let (store, scope) = (self.store.clone(), scope.clone());
                let kept = blocking(move || {
                    store
                        .keep_blob(&blob, &scope)
                        .map_err(GeneratorError::host("keeping the lock's state"))
                });
                Some(kept.await?)
            }
        };
        self.seen.keep().await?;
        Ok(StepLock {
            plugin,
            epoch,
            pins,
            state,
            needs_instance: answer.needs_instance,
            fresh_for: answer.fresh_for_s,
            max_output: answer.max_output,
            scope,
        })
    }

    /// The sink as the guest borrows it.
    pub(crate) fn sink_in(
        &mut self,
        step: Arc<Mutex<StepBuilder>>,
    ) -> Result<Resource<Sink>, GeneratorError> {
        let sink = self.push(Sink(step)).map_err(|_| self.handles_full())?;
        Ok(Resource::new_borrow(sink.rep()))
    }

    async fn pin(&mut self, pin: GuestPin) -> Result<Pin, GeneratorError> {
        let wrong = |reason: String| GeneratorError::Fault(format!("pin `{}`: {reason}", pin.name));
        let digest: Digest = pin
            .digest
            .parse()
            .map_err(|error| wrong(format!("{error}")))?;
        if pin.urls.is_empty() || pin.urls.len() > 16 {
            return Err(wrong("it names 1 to 16 URLs".into()));
        }
        let texts = pin
            .attributes
            .iter()
            .flat_map(|(name, value)| [name, value])
            .chain([&pin.name, &pin.version]);
        if texts.fold(0, |sum, text| sum + text.len()) > MAX_PIN_TEXT {
            return Err(wrong(format!(
                "its texts are longer than {MAX_PIN_TEXT} bytes together"
            )));
        }
        let mut scope = self.reached.get(&digest).cloned();
        for text in &pin.urls {
            let url = grant::parse(text).map_err(|error| wrong(error.to_string()))?;
            if !self.reach.access.grants.allow(&url) {
                return Err(GeneratorError::Denied(format!(
                    "pin `{}`: {url}: no grant of this step covers it",
                    pin.name
                )));
            }
            if scope.is_none() {
                scope = Some(self.reach.scope_of(&url, &self.store).await?);
            }
        }
        let scope = scope.unwrap_or(Scope::Public);
        self.widen(&scope);
        Ok(Pin {
            name: pin.name,
            version: pin.version,
            urls: pin.urls,
            digest,
            size: pin.size,
            scope,
            attributes: pin.attributes,
        })
    }
}

fn to_guest(pin: &Pin) -> GuestPin {
    GuestPin {
        name: pin.name.clone(),
        version: pin.version.clone(),
        urls: pin.urls.clone(),
        digest: pin.digest.to_string(),
        size: pin.size,
        attributes: pin.attributes.clone(),
    }
}
