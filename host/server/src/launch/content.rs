//! The content track of a launch: layers from the cache or from generators, then a signed archive for each point.

mod manifest;
mod progress;
mod step;

pub use progress::{StepProgress, StepState, Steps};

use std::io;
use std::sync::Arc;

use bootsplice_archive::assemble::{Archive, ArchiveLayer};
use bootsplice_archive::header::{LayerScope, Payload, ReportAddress};
use bootsplice_archive::keys::SigningKey;
use bootsplice_archive::layer::LayerRecord;
use bootsplice_archive::{ArchiveError, FORMAT};
use bootsplice_engine::GeneratorError;
use bootsplice_engine::content::{StepContent, Values};
use bootsplice_engine::contract::Instance;
use bootsplice_engine::layer::{InstanceBody, InstancePart, LayerError, write_instance};
use bytes::Bytes;
use futures::future::try_join_all;

use super::Launches;
use super::archive::{LayerBytes, PointArchive};
use super::layers::{LayerFacts, StoredLayer};
use super::prepare::{Prepared, PreparedPoint, PreparedStep};
use super::record::{Launch, Reason};

/// An instance layer is held in memory; one larger than this ends its launch.
const MAX_INSTANCE: usize = 256 << 20;

/// Why a launch has no content.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ContentError {
    pub reason: Reason,
    pub detail: String,
    pub retryable: bool,
    /// Where a generator refused, and why.
    pub refusal: Option<Arc<Refusal>>,
}

/// A generator's refusal to make its step's content.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub step: String,
    /// The step's position in the profile.
    pub order: u32,
    pub error: GeneratorError,
}

/// For whom instance layers are filled and headers written.
pub struct Recipient {
    pub launch: String,
    pub instance: Instance,
    pub product_uuid: Option<uuid::Uuid>,
    pub sequence: u64,
    pub issued: u64,
    pub report: Option<ReportAddress>,
}

/// One step's share of an archive.
enum StepOutput {
    Shared(StoredLayer),
    PerInstance(Box<StepContent>, Arc<LayerFacts>),
}

/// What a layer or the instance layer must be told apart by.
struct Placed {
    record: Arc<LayerRecord>,
    bytes: LayerBytes,
}

// === impl Recipient ===

impl Recipient {
    pub fn of(launch: &Launch, report: Option<ReportAddress>) -> Self {
        let instance = &launch.request.instance;
        Self {
            launch: launch.id.clone(),
            instance: Instance {
                id: instance.id.clone(),
                profile: format!("{}@{}", launch.request.profile, launch.profile_version),
                attributes: instance.attributes.clone(),
            },
            product_uuid: instance.product_uuid,
            sequence: launch.sequence,
            issued: u64::try_from(launch.created.unix_timestamp()).unwrap_or(0),
            report,
        }
    }
}

// === impl Launches ===

impl Launches {
    /// Makes the archive of every point, in the order of the layout's points.
    pub async fn make_content(
        &self,
        prepared: &Prepared,
        who: &Recipient,
        steps: &Steps,
    ) -> Result<Vec<Arc<PointArchive>>, ContentError> {
        let keys = self.signing_keys(prepared)?;
        let archives = prepared
            .points
            .iter()
            .map(|point| self.make_archive(prepared, point, who, steps, &keys));
        try_join_all(archives).await
    }

    async fn make_archive(
        &self,
        prepared: &Prepared,
        point: &PreparedPoint,
        who: &Recipient,
        steps: &Steps,
        keys: &[SigningKey],
    ) -> Result<Arc<PointArchive>, ContentError> {
        let runs = point
            .steps
            .iter()
            .map(|step| self.make_step(point, step, who, steps));
        let outputs = try_join_all(runs).await?;
        let mut layers = vec![self.manifest_layer(prepared, point, &outputs).await?];
        let mut parts = Vec::new();
        let mut described = vec![(Vec::new(), LayerScope::Manifest)];
        for (step, output) in point.steps.iter().zip(&outputs) {
            let id = step.step.id.as_str();
            match output {
                StepOutput::Shared(layer) => {
                    layers.push(Placed {
                        record: layer.facts.record.clone(),
                        bytes: LayerBytes::Stored {
                            key: layer.key,
                            file: layer.file.clone(),
                        },
                    });
                    described.push((vec![id.to_owned()], LayerScope::Shared));
                    if !layer.facts.templates.is_empty() {
                        let body = InstanceBody::Template(&layer.facts.templates);
                        parts.push(InstancePart { step: id, body });
                    }
                }
                StepOutput::PerInstance(content, _) => parts.push(InstancePart {
                    step: id,
                    body: InstanceBody::Content(content),
                }),
            }
        }
        if !parts.is_empty() {
            let values = Values {
                instance: who.instance.clone(),
                secrets: prepared.secrets.clone(),
            };
            let mtime = epoch(point);
            // Small, and bound to what it borrows: done in place.
            let (bytes, record) =
                tokio::task::block_in_place(|| write_instance(&parts, &values, mtime, Vec::new()))
                    .map_err(layer_error)?;
            if bytes.len() > MAX_INSTANCE {
                return Err(ContentError {
                    reason: Reason::Capacity,
                    detail: format!(
                        "the instance layer of point `{}` has {} bytes, at most {MAX_INSTANCE} are allowed",
                        point.point.name,
                        bytes.len()
                    ),
                    retryable: false,
                    refusal: None,
                });
            }
            described.push((
                parts.iter().map(|part| part.step.to_owned()).collect(),
                LayerScope::Instance,
            ));
            layers.push(Placed {
                record: Arc::new(record),
                bytes: LayerBytes::Memory(Bytes::from(bytes)),
            });
        }
        let payload = Payload {
            format: FORMAT,
            base: prepared.base.volume,
            disk: prepared.volume.manifest().disk,
            partition: point.point.partition,
            point: point.point.name.to_string(),
            blocks: point.point.blocks,
            launch: who.launch.clone(),
            instance: who.instance.id.clone(),
            sequence: who.sequence,
            product_uuid: who.product_uuid,
            issued: who.issued,
            layers: Vec::new(),
            length: 0,
            points: prepared
                .points
                .iter()
                .map(|point| point.point.name.to_string())
                .collect(),
            report: who.report.clone(),
        };
        let layer = |(placed, (steps, scope)): (&Placed, (Vec<String>, LayerScope))| ArchiveLayer {
            record: placed.record.clone(),
            steps,
            scope,
        };
        let archive_layers = layers.iter().zip(described).map(layer).collect();
        let archive = Archive::assemble(payload, archive_layers, keys)
            .map_err(|error| archive_error(&point.point.name.to_string(), &error))?;
        let bytes = layers.into_iter().map(|placed| placed.bytes).collect();
        Ok(Arc::new(PointArchive::new(
            archive,
            bytes,
            self.cache.clone(),
            self.layers.clone(),
        )))
    }

    fn signing_keys(&self, prepared: &Prepared) -> Result<Vec<SigningKey>, ContentError> {
        let keys_error = |detail: String| ContentError {
            reason: Reason::Keys,
            detail,
            retryable: false,
            refusal: None,
        };
        let active = self
            .app
            .keys
            .active()
            .map_err(|error| keys_error(error.to_string()))?;
        if !active
            .iter()
            .any(|key| prepared.inventory.trusted_keys.contains(&key.id))
        {
            return Err(keys_error(
                "no active signing key is trusted by the base any more".into(),
            ));
        }
        Ok(active.into_iter().map(|key| key.key).collect())
    }
}

/// The time that stands in entries which belong to no single step: the newest of the point's locks.
fn epoch(point: &PreparedPoint) -> u64 {
    point
        .lock
        .steps
        .iter()
        .map(|step| step.lock.epoch)
        .max()
        .unwrap_or(0)
}

// === impl ContentError ===

impl From<io::Error> for ContentError {
    fn from(error: io::Error) -> Self {
        Self {
            reason: if error.kind() == io::ErrorKind::StorageFull {
                Reason::NoSpace
            } else {
                Reason::Source
            },
            detail: format!("the state directory failed: {error}"),
            retryable: true,
            refusal: None,
        }
    }
}

fn generator_error(step: &PreparedStep, error: GeneratorError) -> ContentError {
    let id = &step.step.id;
    ContentError {
        reason: Reason::Generator,
        detail: format!("step `{id}` [{}]: {error}", error.code()),
        retryable: error.is_retryable(),
        refusal: Some(Arc::new(Refusal {
            step: id.clone(),
            order: step.order,
            error,
        })),
    }
}

fn layer_error(error: LayerError) -> ContentError {
    match error {
        LayerError::Archive(ArchiveError::Io(error)) => error.into(),
        other => ContentError {
            reason: Reason::Generator,
            detail: other.to_string(),
            retryable: false,
            refusal: None,
        },
    }
}

fn archive_error(point: &str, error: &ArchiveError) -> ContentError {
    let reason = match error {
        ArchiveError::Capacity { .. } => Reason::Capacity,
        ArchiveError::Key(_) => Reason::Keys,
        _ => Reason::Generator,
    };
    ContentError {
        reason,
        detail: format!("point `{point}`: {error}"),
        retryable: false,
        refusal: None,
    }
}
