//! `inventory`: the image as it was read at import. Only in `resolve`.

use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::inventory::Host;
use crate::blobs::Blob;
use crate::run::{Phase, Run};

impl Host for Run {
    async fn read_file(&mut self, name: String) -> wasmtime::Result<Option<Resource<Blob>>> {
        if self.reach.phase != Phase::Resolve {
            return Ok(None);
        }
        let Some(blob) = self.reach.access.inventory.get(&name).cloned() else {
            return Ok(None);
        };
        self.hand_out(blob).map(Some)
    }

    async fn list_files(&mut self) -> wasmtime::Result<Vec<String>> {
        if self.reach.phase != Phase::Resolve {
            return Ok(Vec::new());
        }
        Ok(self.reach.access.inventory.keys().cloned().collect())
    }
}
