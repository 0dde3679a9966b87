//! `archive`: where content goes. Only in `generate`.

use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::component::Resource;

use super::bindings::bootsplice::generator::archive as wit;
use super::blobs::{blocking, check_write, foreign};
use super::convert::{action, attributes, conflict, owner};
use crate::blobs::{Blob, Spool};
use crate::content::{Reservation, StepBuilder, TemplateFormat, UnpackFormat, UnpackOptions};
use crate::error::GeneratorError;
use crate::run::{Phase, Run};

/// Largest `put-bytes` and `put-template`.
const MAX_INLINE: usize = 1 << 20;

/// The resource behind `borrow<sink>`.
pub struct Sink(pub Arc<Mutex<StepBuilder>>);

/// An entry in the making; none once it is finished.
pub struct Writer(Option<(Spool, Reservation)>);

impl wit::Host for Run {}

impl wit::HostSink for Run {
    async fn put_blob(
        &mut self,
        sink: Resource<Sink>,
        path: String,
        attrs: wit::EntryAttrs,
        content: Resource<Blob>,
    ) -> Result<(), GeneratorError> {
        let content = self.blob(&content)?;
        self.step(&sink)?
            .lock()
            .file(&path, attributes(attrs), content)
    }

    async fn put_bytes(
        &mut self,
        sink: Resource<Sink>,
        path: String,
        attrs: wit::EntryAttrs,
        content: Vec<u8>,
    ) -> Result<(), GeneratorError> {
        check_inline("put-bytes", content.len())?;
        let step = self.step(&sink)?;
        let mut spool = self.store.spool();
        spool
            .write_all(&content)
            .map_err(GeneratorError::host("spooling an entry"))?;
        let blob = spool
            .finish()
            .map_err(GeneratorError::host("spooling an entry"))?;
        step.lock().file(&path, attributes(attrs), blob)
    }

    async fn put_template(
        &mut self,
        sink: Resource<Sink>,
        path: String,
        attrs: wit::EntryAttrs,
        text: String,
        format: wit::TemplateFormat,
    ) -> Result<(), GeneratorError> {
        check_inline("put-template", text.len())?;
        let format = match format {
            wit::TemplateFormat::Plain => TemplateFormat::Plain,
            wit::TemplateFormat::Shell => TemplateFormat::Shell,
            wit::TemplateFormat::Json => TemplateFormat::Json,
            wit::TemplateFormat::Yaml => TemplateFormat::Yaml,
            wit::TemplateFormat::Ini => TemplateFormat::Ini,
        };
        self.step(&sink)?
            .lock()
            .template(&path, attributes(attrs), &text, format)
    }

    async fn put_dir(
        &mut self,
        sink: Resource<Sink>,
        path: String,
        attrs: wit::EntryAttrs,
    ) -> Result<(), GeneratorError> {
        self.step(&sink)?.lock().dir(&path, attributes(attrs))
    }

    async fn put_symlink(
        &mut self,
        sink: Resource<Sink>,
        path: String,
        to: String,
    ) -> Result<(), GeneratorError> {
        self.step(&sink)?.lock().symlink(&path, &to)
    }

    async fn create(
        &mut self,
        sink: Resource<Sink>,
        path: String,
        attrs: wit::EntryAttrs,
    ) -> Result<Resource<Writer>, GeneratorError> {
        let reservation = self.step(&sink)?.lock().reserve(&path, attributes(attrs))?;
        let spool = self.store.spool();
        self.push(Writer(Some((spool, reservation))))
            .map_err(|_| self.handles_full())
    }

    async fn unpack(
        &mut self,
        sink: Resource<Sink>,
        prefix: String,
        content: Resource<Blob>,
        options: wit::UnpackOptions,
    ) -> Result<u32, GeneratorError> {
        let step = self.step(&sink)?;
        let content = self.blob(&content)?;
        let store = self.store.clone();
        let options = UnpackOptions {
            format: match options.format {
                wit::UnpackFormat::Tar => UnpackFormat::Tar,
                wit::UnpackFormat::Zip => UnpackFormat::Zip,
            },
            strip_components: options.strip_components,
            mode: options.mode,
            owner: options.owner.map(owner),
            on_conflict: conflict(options.on_conflict),
        };
        blocking(move || step.lock().unpack(&prefix, &content, &options, &store)).await
    }

    async fn add_action(
        &mut self,
        sink: Resource<Sink>,
        wanted: wit::Action,
    ) -> Result<(), GeneratorError> {
        let step = self.step(&sink)?;
        let action = action(wanted)?;
        step.lock().action(action)
    }

    async fn drop(&mut self, sink: Resource<Sink>) -> wasmtime::Result<()> {
        self.table.delete(sink)?;
        Ok(())
    }
}

impl wit::HostEntryWriter for Run {
    async fn write(
        &mut self,
        writer: Resource<Writer>,
        data: Vec<u8>,
    ) -> Result<(), GeneratorError> {
        check_write(&data)?;
        self.charge(data.len() as u64)?;
        let (spool, _) = self.writer(&writer)?;
        spool
            .write_all(&data)
            .map_err(GeneratorError::host("spooling an entry"))
    }

    async fn append(
        &mut self,
        writer: Resource<Writer>,
        content: Resource<Blob>,
    ) -> Result<(), GeneratorError> {
        let content = self.blob(&content)?;
        self.charge(content.size())?;
        let (mut spool, reservation) = self.take_writer(&writer)?;
        let spool = blocking(move || {
            spool
                .append(&content)
                .map_err(GeneratorError::host("spooling an entry"))?;
            Ok(spool)
        })
        .await?;
        self.table.get_mut(&writer).map_err(foreign)?.0 = Some((spool, reservation));
        Ok(())
    }

    async fn finish(&mut self, writer: Resource<Writer>) -> Result<(), GeneratorError> {
        let (spool, reservation) = self.take_writer(&writer)?;
        let blob = spool
            .finish()
            .map_err(GeneratorError::host("spooling an entry"))?;
        if let Some(step) = &self.step {
            step.lock().fulfil(reservation, blob);
        }
        Ok(())
    }

    async fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}

impl Run {
    fn step(&self, sink: &Resource<Sink>) -> Result<Arc<Mutex<StepBuilder>>, GeneratorError> {
        self.reach.only_in(&[Phase::Generate], "archive")?;
        Ok(self.table.get(sink).map_err(foreign)?.0.clone())
    }

    fn charge(&self, bytes: u64) -> Result<(), GeneratorError> {
        self.reach.only_in(&[Phase::Generate], "archive")?;
        self.step
            .as_ref()
            .map_or(Ok(()), |step| step.lock().charge(bytes))
    }

    fn writer(
        &mut self,
        handle: &Resource<Writer>,
    ) -> Result<&mut (Spool, Reservation), GeneratorError> {
        let writer = self.table.get_mut(handle).map_err(foreign)?;
        writer.0.as_mut().ok_or_else(spent)
    }

    fn take_writer(
        &mut self,
        handle: &Resource<Writer>,
    ) -> Result<(Spool, Reservation), GeneratorError> {
        let writer = self.table.get_mut(handle).map_err(foreign)?;
        writer.0.take().ok_or_else(spent)
    }
}

fn spent() -> GeneratorError {
    GeneratorError::Unsupported("the writer is finished already".into())
}

fn check_inline(call: &str, len: usize) -> Result<(), GeneratorError> {
    if len > MAX_INLINE {
        return Err(GeneratorError::Unsupported(format!(
            "{call} of {len} bytes; {MAX_INLINE} are allowed, use create or a blob for more"
        )));
    }
    Ok(())
}
