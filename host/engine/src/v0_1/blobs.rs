//! `blobs`: handles to bytes in the host.

use std::io::{self, Write};

use wasmtime::component::{Resource, ResourceTableError};

use super::bindings::bootsplice::generator::blobs::{
    Codec as GuestCodec, Host, HostBlob, HostBlobBuilder, Span,
};
use crate::blobs::{self, Blob, Codec, CodecError, Spool};
use crate::contract::Quota;
use crate::error::GeneratorError;
use crate::run::{Phase, Run};

/// Bytes that one call brings into the guest's memory.
const MAX_READ: u64 = 1 << 20;
/// Bytes that one call takes out of it.
pub(super) const MAX_WRITE: usize = 256 * 1024;
const MAX_SPANS: usize = 65_536;
const WORKING: &[Phase] = &[Phase::Resolve, Phase::Generate];

/// A blob in the making; none once it is finished.
pub struct Builder(Option<Spool>);

impl Host for Run {}

impl HostBlob for Run {
    async fn size(&mut self, blob: Resource<Blob>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&blob)?.size())
    }

    async fn digest(&mut self, blob: Resource<Blob>) -> wasmtime::Result<String> {
        let blob = self.table.get(&blob)?.clone();
        let digest = blocking(move || {
            blob.digest()
                .map_err(GeneratorError::host("hashing a blob"))
        })
        .await?;
        Ok(digest.to_string())
    }

    async fn read(
        &mut self,
        blob: Resource<Blob>,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, GeneratorError> {
        let blob = self.blob(&blob)?;
        read(&blob, offset, u64::from(len).min(MAX_READ))
    }

    async fn read_many(
        &mut self,
        blob: Resource<Blob>,
        spans: Vec<Span>,
    ) -> Result<Vec<Vec<u8>>, GeneratorError> {
        let blob = self.blob(&blob)?;
        let total: u64 = spans.iter().map(|span| u64::from(span.len)).sum();
        if total > MAX_READ || spans.len() > MAX_SPANS {
            return Err(GeneratorError::Unsupported(format!(
                "read-many of {total} bytes in {} spans; {MAX_READ} bytes in {MAX_SPANS} spans are allowed",
                spans.len()
            )));
        }
        spans
            .iter()
            .map(|span| read(&blob, span.offset, span.len.into()))
            .collect()
    }

    async fn decompress(
        &mut self,
        blob: Resource<Blob>,
        codec: GuestCodec,
        max_size: u64,
    ) -> Result<Resource<Blob>, GeneratorError> {
        self.reach.only_in(WORKING, "decompress")?;
        let blob = self.blob(&blob)?;
        let codec = match codec {
            GuestCodec::Gzip => Codec::Gzip,
            GuestCodec::Xz => Codec::Xz,
            GuestCodec::Zstd => Codec::Zstd,
            GuestCodec::Bzip2 => Codec::Bzip2,
        };
        let left = self.scratch_left();
        let mut spool = self.store.spool();
        let plain = blocking(move || {
            blobs::decompress(&blob, codec, max_size.min(left), &mut spool).map_err(|error| {
                match error {
                    CodecError::TooLarge { max } if max < max_size => GeneratorError::quota(
                        Quota::OutputBytes,
                        "no more bytes for blobs made in this run",
                    ),
                    CodecError::Spool(error) => GeneratorError::host("spooling a blob")(error),
                    other => GeneratorError::Unsupported(other.to_string()),
                }
            })?;
            spool
                .finish()
                .map_err(GeneratorError::host("spooling a blob"))
        })
        .await?;
        self.scratch(plain.size())?;
        self.give(plain)
    }

    async fn slice(
        &mut self,
        blob: Resource<Blob>,
        offset: u64,
        len: u64,
    ) -> Result<Resource<Blob>, GeneratorError> {
        let blob = self.blob(&blob)?;
        let slice = blob.slice(offset, len).ok_or_else(|| {
            GeneratorError::Unsupported(format!(
                "{len} bytes from {offset} are not inside a blob of {} bytes",
                blob.size()
            ))
        })?;
        self.give(slice)
    }

    async fn drop(&mut self, blob: Resource<Blob>) -> wasmtime::Result<()> {
        self.table.delete(blob)?;
        Ok(())
    }
}

impl HostBlobBuilder for Run {
    async fn new(&mut self) -> wasmtime::Result<Resource<Builder>> {
        let spool = self.store.spool();
        Ok(self.push(Builder(Some(spool)))?)
    }

    async fn write(
        &mut self,
        builder: Resource<Builder>,
        data: Vec<u8>,
    ) -> Result<(), GeneratorError> {
        self.reach.only_in(WORKING, "blob-builder")?;
        check_write(&data)?;
        self.scratch(data.len() as u64)?;
        self.builder(&builder)?
            .write_all(&data)
            .map_err(GeneratorError::host("spooling a blob"))
    }

    async fn append(
        &mut self,
        builder: Resource<Builder>,
        content: Resource<Blob>,
    ) -> Result<(), GeneratorError> {
        self.reach.only_in(WORKING, "blob-builder")?;
        let content = self.blob(&content)?;
        self.scratch(content.size())?;
        let mut spool = self.take_builder(&builder)?;
        let spool = blocking(move || {
            spool
                .append(&content)
                .map_err(GeneratorError::host("spooling a blob"))?;
            Ok(spool)
        })
        .await?;
        self.table.get_mut(&builder).map_err(foreign)?.0 = Some(spool);
        Ok(())
    }

    async fn finish(
        &mut self,
        builder: Resource<Builder>,
    ) -> Result<Resource<Blob>, GeneratorError> {
        let spool = self.take_builder(&builder)?;
        let blob = spool
            .finish()
            .map_err(GeneratorError::host("spooling a blob"))?;
        self.give(blob)
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl Run {
    /// The blob behind a handle.
    pub(crate) fn blob(&self, handle: &Resource<Blob>) -> Result<Blob, GeneratorError> {
        self.table.get(handle).cloned().map_err(foreign)
    }

    /// A handle for a blob. The error ends the run.
    pub(crate) fn hand_out(&mut self, blob: Blob) -> wasmtime::Result<Resource<Blob>> {
        Ok(self.push(blob)?)
    }

    /// Puts a value behind a handle, noting when there is no room.
    pub(super) fn push<T: Send + 'static>(
        &mut self,
        value: T,
    ) -> Result<Resource<T>, ResourceTableError> {
        let pushed = self.table.push(value);
        self.handles_refused |= matches!(pushed, Err(ResourceTableError::Full));
        pushed
    }

    pub(super) fn handles_full(&self) -> GeneratorError {
        GeneratorError::quota(
            Quota::Handles,
            format!("{} handles at a time", self.reach.access.limits.handles),
        )
    }

    pub(super) fn give(&mut self, blob: Blob) -> Result<Resource<Blob>, GeneratorError> {
        self.push(blob).map_err(|_| self.handles_full())
    }

    fn builder(&mut self, handle: &Resource<Builder>) -> Result<&mut Spool, GeneratorError> {
        let builder = self.table.get_mut(handle).map_err(foreign)?;
        builder.0.as_mut().ok_or_else(spent)
    }

    fn take_builder(&mut self, handle: &Resource<Builder>) -> Result<Spool, GeneratorError> {
        let builder = self.table.get_mut(handle).map_err(foreign)?;
        builder.0.take().ok_or_else(spent)
    }
}

/// Runs work on files away from the threads that serve everyone.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GeneratorError> + Send + 'static,
) -> Result<T, GeneratorError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| GeneratorError::Host(error.to_string()))?
}

pub(super) fn check_write(data: &[u8]) -> Result<(), GeneratorError> {
    if data.len() > MAX_WRITE {
        return Err(GeneratorError::Unsupported(format!(
            "a write of {} bytes; {MAX_WRITE} are allowed in one call",
            data.len()
        )));
    }
    Ok(())
}

/// A handle that is none of this table. wasmtime checks handles, so only a fault of ours leads here.
pub(super) fn foreign(error: ResourceTableError) -> GeneratorError {
    GeneratorError::Host(format!("a handle: {error}"))
}

fn spent() -> GeneratorError {
    GeneratorError::Unsupported("the builder is finished already".into())
}

fn read(blob: &Blob, offset: u64, len: u64) -> Result<Vec<u8>, GeneratorError> {
    let len = usize::try_from(len).map_err(|_| {
        GeneratorError::Host(io::Error::from(io::ErrorKind::FileTooLarge).to_string())
    })?;
    blob.read_at(offset, len)
        .map(Vec::from)
        .map_err(GeneratorError::host("reading a blob"))
}
