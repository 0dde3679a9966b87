//! `trust`: signatures and the replay guard. Only in `resolve`.

use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::trust::{Host, Keyring, Verified};
use crate::blobs::Blob;
use crate::error::GeneratorError;
use crate::run::{Phase, Run};

impl Host for Run {
    async fn verify(
        &mut self,
        _content: Resource<Blob>,
        _detached: Option<Resource<Blob>>,
        _keyrings: Vec<Keyring>,
    ) -> Result<Verified, GeneratorError> {
        self.reach.only_in(&[Phase::Resolve], "trust")?;
        Err(GeneratorError::Unsupported(
            "this release of the host verifies no signatures".into(),
        ))
    }

    async fn seen(&mut self, key: String, value: u64) -> Result<Option<u64>, GeneratorError> {
        self.reach.only_in(&[Phase::Resolve], "trust")?;
        let now = (self.clock)();
        self.seen.note(key, value, now).await
    }
}
