//! The layer that tells the guest its steps.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

use bootsplice_archive::layer::LayerWriter;
use bootsplice_archive::step::{self, ManifestStep, PointManifest};
use bootsplice_archive::{FORMAT, zstd_version};
use bootsplice_content::Digest;
use bootsplice_engine::layer::TemplatePart;

use super::{ContentError, Placed, StepOutput, epoch, layer_error};
use crate::launch::Launches;
use crate::launch::archive::LayerBytes;
use crate::launch::layers::LayerFacts;
use crate::launch::prepare::{Prepared, PreparedPoint, PreparedStep};
use crate::launch::record::Reason;
use crate::profile::{OnFailure, Stage, Step};

// === impl Launches ===

impl Launches {
    /// The layer that says which steps there are: the same for every launch of one profile version, base and lock.
    pub(super) async fn manifest_layer(
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
                refusal: None,
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
        generator: format!("{}@{}", one.step.uses.name, descriptor.version),
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
        timeout: one.step.timeout.unwrap_or(Step::timeout_in(stage)),
        shared,
        instance,
    })
}
