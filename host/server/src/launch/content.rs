//! The content track of a launch: layers from the cache or from generators, then a signed archive for each point.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use bootsplice_archive::assemble::{Archive, ArchiveLayer};
use bootsplice_archive::header::{LayerScope, Payload, ReportAddress};
use bootsplice_archive::keys::SigningKey;
use bootsplice_archive::layer::{LayerRecord, LayerWriter};
use bootsplice_archive::step::{self, ManifestStep, PointManifest};
use bootsplice_archive::{ArchiveError, FORMAT, LEVEL, zstd_version};
use bootsplice_content::Digest;
use bootsplice_engine::GeneratorError;
use bootsplice_engine::content::{Action, StepContent, Values};
use bootsplice_engine::contract::Instance;
use bootsplice_engine::key::{LayerInputs, layer_key};
use bootsplice_engine::layer::{
    InstanceBody, InstancePart, LayerError, TemplatePart, write_instance, write_shared,
};
use bytes::Bytes;
use futures::future::try_join_all;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Launches;
use super::archive::{LayerBytes, PointArchive};
use super::layers::{Had, LayerFacts, StoredLayer};
use super::prepare::{Prepared, PreparedPoint, PreparedStep};
use super::record::{Launch, Reason};
use crate::profile::{OnFailure, Stage, Step};

/// An instance layer is held in memory; one larger than this ends its launch.
const MAX_INSTANCE: usize = 256 << 20;

/// Why a launch has no content.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct ContentError {
    pub reason: Reason,
    pub detail: String,
    pub retryable: bool,
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

/// How far each step is, for whoever asks.
#[derive(Debug, Default)]
pub struct Steps(Mutex<Vec<StepProgress>>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StepProgress {
    pub id: String,
    pub state: StepState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    Waiting,
    Generating,
    /// Its layer was there.
    Cached,
    Generated,
    Failed,
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

// === impl Steps ===

impl Steps {
    pub fn of(prepared: &Prepared) -> Self {
        let mut steps: Vec<_> = prepared
            .points
            .iter()
            .flat_map(|point| &point.steps)
            .collect();
        steps.sort_by_key(|step| step.order);
        let waiting = |step: &&PreparedStep| StepProgress {
            id: step.step.id.clone(),
            state: StepState::Waiting,
        };
        Self(Mutex::new(steps.iter().map(waiting).collect()))
    }

    pub fn look(&self) -> Vec<StepProgress> {
        self.0.lock().clone()
    }

    fn set(&self, id: &str, state: StepState) {
        if let Some(step) = self.0.lock().iter_mut().find(|step| step.id == id) {
            step.state = state;
        }
    }
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

    async fn make_step(
        &self,
        point: &PreparedPoint,
        step: &PreparedStep,
        who: &Recipient,
        steps: &Steps,
    ) -> Result<StepOutput, ContentError> {
        let id = step.step.id.as_str();
        let made = self.make_step_inner(point, step, who, steps).await;
        match &made {
            Ok((_, had)) => steps.set(
                id,
                if *had == Had::Cached {
                    StepState::Cached
                } else {
                    StepState::Generated
                },
            ),
            Err(_) => steps.set(id, StepState::Failed),
        }
        made.map(|(output, _)| output)
    }

    async fn make_step_inner(
        &self,
        point: &PreparedPoint,
        step: &PreparedStep,
        who: &Recipient,
        steps: &Steps,
    ) -> Result<(StepOutput, Had), ContentError> {
        let id = step.step.id.as_str();
        let lock = point.lock.step(id).ok_or_else(|| ContentError {
            reason: Reason::Restart,
            detail: format!(
                "the lock of point `{}` has no step `{id}`",
                point.point.name
            ),
            retryable: false,
        })?;
        let engine = self.installed.engine();
        if lock.needs_instance {
            steps.set(id, StepState::Generating);
            let content = engine
                .generate(&step.plugin, &step.job, lock, Some(&who.instance))
                .await
                .map_err(|error| generator_error(id, &error))?;
            self.count(id, true);
            let facts = facts_of(
                &content,
                LayerRecord {
                    digest: Digest::of(&[]),
                    blocks: Vec::new(),
                    tar_size: 0,
                    tar_digest: Digest::of(&[]),
                    entries: 0,
                },
            );
            return Ok((
                StepOutput::PerInstance(Box::new(content), Arc::new(facts)),
                Had::Made,
            ));
        }
        let key = layer_key(&LayerInputs {
            plugin: *step.plugin.digest(),
            wit: &step.plugin.inspection().wit,
            step: id,
            config: &step.job.config,
            target: &step.job.target,
            lock,
            scope: &lock.scope,
            grants: &step.job.grants,
            zstd: zstd_version(),
            level: LEVEL,
        });
        let (layer, had) = self
            .layers
            .get_or_make(key, async |out| {
                steps.set(id, StepState::Generating);
                let content = engine
                    .generate(&step.plugin, &step.job, lock, None)
                    .await
                    .map_err(|error| generator_error(id, &error))?;
                self.count(id, false);
                let (name, mtime) = (id.to_owned(), lock.epoch);
                let written = tokio::task::spawn_blocking(move || {
                    let (out, record) = write_shared(&name, &content, mtime, out)?;
                    Ok::<_, LayerError>((out, facts_of(&content, record)))
                });
                let written = written
                    .await
                    .map_err(io::Error::other)
                    .map_err(ContentError::from)?;
                written.map_err(layer_error)
            })
            .await?;
        if had == Had::Cached {
            self.metrics.layer_hits.inc();
        }
        Ok((StepOutput::Shared(layer), had))
    }

    /// The layer that says which steps there are: the same for every launch of one profile version, base and lock.
    async fn manifest_layer(
        &self,
        prepared: &Prepared,
        point: &PreparedPoint,
        outputs: &[StepOutput],
    ) -> Result<Placed, ContentError> {
        let mut steps = Vec::new();
        for (step, output) in point.steps.iter().zip(outputs) {
            steps.push(manifest_step(prepared, step, output)?);
        }
        let manifest = PointManifest {
            format: FORMAT,
            profile: prepared.profile_name(),
            point: point.point.name.to_string(),
            steps,
        };
        let mut body = serde_json::to_vec_pretty(&manifest)
            .map_err(|error| ContentError::from(io::Error::other(error)))?;
        body.push(b'\n');
        let mtime = epoch(point);
        let key = Digest::of(
            &[
                &mtime.to_le_bytes()[..],
                &zstd_version().to_le_bytes(),
                &body,
            ]
            .concat(),
        );
        let (layer, _) = self
            .layers
            .get_or_make(key, async |out: BufWriter<File>| {
                let mut writer =
                    LayerWriter::new(out, mtime).map_err(|error| layer_error(error.into()))?;
                writer
                    .file(
                        &step::paths::manifest(),
                        0o644,
                        body.len() as u64,
                        &body[..],
                    )
                    .map_err(|error| layer_error(error.into()))?;
                let (out, record) = writer.finish().map_err(|error| layer_error(error.into()))?;
                let facts = LayerFacts {
                    record: Arc::new(record),
                    templates: TemplatePart::default(),
                    users: BTreeSet::new(),
                    groups: BTreeSet::new(),
                    addressed: BTreeSet::new(),
                    reboot_required: false,
                };
                Ok::<_, ContentError>((out, facts))
            })
            .await?;
        Ok(Placed {
            record: layer.facts.record.clone(),
            bytes: LayerBytes::Stored {
                key: layer.key,
                file: layer.file,
            },
        })
    }

    fn signing_keys(&self, prepared: &Prepared) -> Result<Vec<SigningKey>, ContentError> {
        let keys_error = |detail: String| ContentError {
            reason: Reason::Keys,
            detail,
            retryable: false,
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

fn manifest_step(
    prepared: &Prepared,
    one: &PreparedStep,
    output: &StepOutput,
) -> Result<ManifestStep, ContentError> {
    let (facts, shared, instance) = match output {
        StepOutput::Shared(layer) => (&layer.facts, true, !layer.facts.templates.is_empty()),
        StepOutput::PerInstance(_, facts) => (facts, false, true),
    };
    let inventory = &prepared.inventory;
    let absent = facts
        .addressed
        .iter()
        .any(|user| !inventory.users.contains(user));
    let stage = if absent { Stage::Late } else { one.stage };
    if stage == Stage::Files {
        let user = facts
            .users
            .iter()
            .find(|user| !inventory.users.contains(*user));
        let group = facts
            .groups
            .iter()
            .find(|group| !inventory.groups.contains(*group));
        if let Some(name) = user.or(group) {
            return Err(ContentError {
                reason: Reason::Generator,
                detail: format!(
                    "step `{}` gives files to `{name}`, who is not in the image when the stage `files` runs: give the step `stage: late`",
                    one.step.id
                ),
                retryable: false,
            });
        }
    }
    let Step {
        id,
        after,
        on_failure,
        ..
    } = &one.step;
    let descriptor = one.plugin.descriptor();
    Ok(ManifestStep {
        id: id.clone(),
        order: one.order,
        generator: format!("{}@{}", descriptor.id, descriptor.version),
        plugin: *one.plugin.digest(),
        stage: match stage {
            Stage::Files => step::Stage::Files,
            Stage::Packages => step::Stage::Packages,
            Stage::Late => step::Stage::Late,
        },
        after: after.clone(),
        on_failure: match on_failure {
            OnFailure::Abort => step::OnFailure::Abort,
            OnFailure::Warn => step::OnFailure::Warn,
            OnFailure::Retry => step::OnFailure::Retry,
        },
        retries: match on_failure {
            OnFailure::Retry => one.step.retries.unwrap_or(Step::RETRIES),
            _ => 0,
        },
        backoff: one.step.backoff.unwrap_or(Step::BACKOFF),
        timeout: one.step.timeout.unwrap_or(Step::TIMEOUT),
        shared,
        instance,
    })
}

fn facts_of(content: &StepContent, record: LayerRecord) -> LayerFacts {
    let mut facts = LayerFacts {
        record: Arc::new(record),
        templates: TemplatePart::of(content),
        users: BTreeSet::new(),
        groups: BTreeSet::new(),
        addressed: BTreeSet::new(),
        reboot_required: content.reboot_required,
    };
    for entry in &content.entries {
        if let Some(owner) = &entry.attributes.owner {
            facts.users.insert(owner.user.clone());
            facts.groups.insert(owner.group.clone());
        }
        if let Some(home) = entry.path.as_str().strip_prefix('~') {
            let user = home.split('/').next().unwrap_or_default();
            facts.addressed.insert(user.to_owned());
        }
    }
    for action in &content.actions {
        let user = match action {
            Action::Run(command) => command.user.clone(),
            Action::Service(service) => service.user.clone(),
            Action::Edit(edit) => edit
                .file
                .strip_prefix('~')
                .map(|home| home.split('/').next().unwrap_or_default().to_owned()),
        };
        facts.addressed.extend(user);
    }
    // A group may be named like its user and come with them; numbers need no name.
    facts.users.retain(|name| name.parse::<u32>().is_err());
    facts.groups.retain(|name| name.parse::<u32>().is_err());
    facts
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
        }
    }
}

fn generator_error(step: &str, error: &GeneratorError) -> ContentError {
    ContentError {
        reason: Reason::Generator,
        detail: format!("step `{step}` [{}]: {error}", error.code()),
        retryable: error.is_retryable(),
    }
}

fn layer_error(error: LayerError) -> ContentError {
    match error {
        LayerError::Archive(ArchiveError::Io(error)) => error.into(),
        other => ContentError {
            reason: Reason::Generator,
            detail: other.to_string(),
            retryable: false,
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
    }
}
