//! `cache`: bytes kept between runs of `resolve`. Answers none in every other phase.

use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::cache::Host;
use crate::blobs::Blob;
use crate::error::GeneratorError;
use crate::run::Run;

impl Host for Run {
    async fn get(&mut self, key: String) -> wasmtime::Result<Option<Resource<Blob>>> {
        match self.cache_get(&key).await? {
            Some(blob) => self.hand_out(blob).map(Some),
            None => Ok(None),
        }
    }

    async fn put(
        &mut self,
        key: String,
        value: Resource<Blob>,
        ttl_s: Option<u32>,
    ) -> Result<(), GeneratorError> {
        let value = self.blob(&value)?;
        self.cache_put(&key, &value, ttl_s).await
    }
}
