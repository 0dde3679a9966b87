//! One step's content: its layer from the cache, or made by its generator; or content for one instance alone.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use bootsplice_archive::layer::LayerRecord;
use bootsplice_archive::{LEVEL, zstd_version};
use bootsplice_content::Digest;
use bootsplice_engine::content::{Action, StepContent};
use bootsplice_engine::key::{LayerInputs, layer_key};
use bootsplice_engine::layer::{LayerError, TemplatePart, write_shared};

use super::{ContentError, Recipient, StepOutput, StepState, Steps, generator_error, layer_error};
use crate::launch::Launches;
use crate::launch::layers::{Had, LayerFacts};
use crate::launch::prepare::{PreparedPoint, PreparedStep};
use crate::launch::record::Reason;

// === impl Launches ===

impl Launches {
    pub(super) async fn make_step(
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
            refusal: None,
        })?;
        let engine = self.installed.engine();
        let generator = &step.step.uses.name.to_string();
        if lock.needs_instance {
            steps.set(id, StepState::Generating);
            self.metrics.run(generator, true);
            let content = engine
                .generate(&step.plugin, &step.job, lock, Some(&who.instance))
                .await
                .map_err(|error| generator_error(step, error))?;
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
                self.metrics.run(generator, false);
                let content = engine
                    .generate(&step.plugin, &step.job, lock, None)
                    .await
                    .map_err(|error| generator_error(step, error))?;
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
