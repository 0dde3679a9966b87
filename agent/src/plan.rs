//! Which steps run, in which order, from which layers: over all points (RFC 0003).

use std::io::Read;

use bootsplice_archive::ArchiveError;
use bootsplice_archive::header::LayerScope;
use bootsplice_archive::layer::LayerEntry;
use bootsplice_archive::step::{ManifestStep, PointManifest, StepDocument, paths};

use crate::AgentError;
use crate::points::Trusted;

/// The largest document: 64 MiB.
const DOCUMENT: u64 = 64 << 20;

/// A step and where it lies.
#[derive(Clone, Debug)]
pub struct PlannedStep<'a> {
    pub trusted: &'a Trusted,
    pub step: ManifestStep,
    /// The layers that hold something of the step, with whether it is the instance layer.
    pub layers: Vec<(usize, bool)>,
}

/// Every step of the launch, in the order it runs.
pub fn plan(points: &[Trusted]) -> Result<Vec<PlannedStep<'_>>, AgentError> {
    let mut steps = Vec::new();
    for trusted in points {
        let name = &trusted.point.name;
        let manifest = read_manifest(trusted).map_err(|error| AgentError::refused(name, error))?;
        if manifest.point != *name {
            return Err(AgentError::refused(
                name,
                format!("its manifest is for the point `{}`", manifest.point),
            ));
        }
        for step in manifest.steps {
            check_id(name, &step.id)?;
            let layers = layers_of(trusted, &step);
            steps.push(PlannedStep {
                trusted,
                step,
                layers,
            });
        }
    }
    steps.sort_by_key(|planned| (planned.step.stage, planned.step.order));
    for (index, planned) in steps.iter().enumerate() {
        let refused =
            |reason: String| Err(AgentError::refused(&planned.trusted.point.name, reason));
        let id = &planned.step.id;
        let earlier = || steps[..index].iter().map(|other| &other.step.id);
        if earlier().any(|other| other == id) {
            return refused(format!("the step `{id}` is there twice"));
        }
        if let Some(after) = planned
            .step
            .after
            .iter()
            .find(|after| !earlier().any(|other| other == *after))
        {
            return refused(format!(
                "the step `{id}` runs after `{after}`, which does not run before it"
            ));
        }
    }
    Ok(steps)
}

/// `step.json` or `instance.json` from the layer's entry, if that is what it is.
pub fn document(
    step: &str,
    instance: bool,
    entry: &LayerEntry,
    content: &mut dyn Read,
) -> Result<Option<StepDocument>, ArchiveError> {
    let path = if instance {
        paths::instance(step)
    } else {
        paths::step(step)
    };
    if entry.path != path {
        return Ok(None);
    }
    let document: StepDocument = read_json(&path, content)?;
    Ok(Some(document))
}

fn read_manifest(trusted: &Trusted) -> Result<PointManifest, ArchiveError> {
    let mut found = None;
    for (index, layer) in trusted.payload.layers.iter().enumerate() {
        if layer.scope != LayerScope::Manifest {
            continue;
        }
        trusted.read_layer(index, |entry, content| {
            if entry.path == paths::manifest() {
                found = Some(read_json(&entry.path, content)?);
            }
            Ok::<_, ArchiveError>(())
        })?;
    }
    found.ok_or_else(|| ArchiveError::Corrupt {
        what: "archive".into(),
        reason: "it has no manifest".into(),
    })
}

fn read_json<T: serde::de::DeserializeOwned>(
    path: &str,
    content: &mut dyn Read,
) -> Result<T, ArchiveError> {
    serde_json::from_reader(content.take(DOCUMENT)).map_err(|error| ArchiveError::Corrupt {
        what: path.to_owned(),
        reason: error.to_string(),
    })
}

fn layers_of(trusted: &Trusted, step: &ManifestStep) -> Vec<(usize, bool)> {
    let layers = trusted.payload.layers.iter().enumerate();
    layers
        .filter_map(|(index, layer)| {
            let instance = layer.scope == LayerScope::Instance;
            let wanted = match layer.scope {
                LayerScope::Manifest => false,
                LayerScope::Shared => step.shared && layer.steps.contains(&step.id),
                LayerScope::Instance => step.instance,
            };
            wanted.then_some((index, instance))
        })
        .collect()
}

fn check_id(point: &str, id: &str) -> Result<(), AgentError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=40).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    Err(AgentError::refused(
        point,
        format!("`{id}` is no step's id"),
    ))
}
