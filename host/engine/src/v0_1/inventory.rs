//! `inventory`: the image as it was read at import. Only in `resolve`.

use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::inventory::Host;
use crate::blobs::Blob;
use crate::run::{Phase, Run};
use crate::tape::Asked;

impl Host for Run {
    async fn read_file(&mut self, name: String) -> wasmtime::Result<Option<Resource<Blob>>> {
        if self.reach.phase != Phase::Resolve {
            return Ok(None);
        }
        let blob = self.reach.access.inventory.get(&name).cloned();
        let real = async { Ok((blob, ())) };
        let (blob, ()) = self
            .outside()
            .exchange(&self.store, || Ok(Asked::ReadFile { name }), real)
            .await?;
        blob.map(|blob| self.hand_out(blob)).transpose()
    }

    async fn list_files(&mut self) -> wasmtime::Result<Vec<String>> {
        if self.reach.phase != Phase::Resolve {
            return Ok(Vec::new());
        }
        let inventory = &self.reach.access.inventory;
        let real = async { Ok((None, inventory.keys().cloned().collect())) };
        let (_, names) = self
            .outside()
            .exchange(&self.store, || Ok(Asked::ListFiles), real)
            .await?;
        Ok(names)
    }
}
