//! A dry run: everything that a launch would do, told and not done.

use std::io::Read as _;
use std::sync::Arc;

use bootsplice_archive::ArchiveError;
use bootsplice_archive::layer;
use bootsplice_archive::step::{Action, ManifestStep, PointManifest, StepDocument, paths};
use bootsplice_blocks::BlockSource as _;
use bootsplice_content::{BLOCK_U64, Digest};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Launches;
use super::archive::PointArchive;
use super::content::{ContentError, Recipient, StepProgress, Steps};
use super::lock::PinView;
use super::prepare::access::StepAccess;
use super::prepare::{LockChoice, Prepared, Revision, Wanted, refused};
use super::record::Reason;
use super::request::LaunchRequest;
use crate::auth::Tenant;
use crate::problem::{Kind, Problem};

/// The most entries that a plan lists for one step; their number and bytes are always told.
const LISTED: usize = 10_000;
/// Unpacked bytes of a layer that a plan reads through.
const MOST_TAR: u64 = 64 << 30;

/// What a launch would make.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    /// `name@version`.
    pub profile: String,
    #[schema(value_type = String)]
    pub base: Digest,
    /// Bytes of the volume.
    pub size: u64,
    pub points: Vec<PlannedPoint>,
    /// What works and should be changed: a step whose generator was yanked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedPoint {
    pub name: String,
    /// Bytes that the point has room for.
    pub capacity: u64,
    /// Bytes that the archive takes.
    pub needed: u64,
    #[schema(value_type = String)]
    pub lock: Digest,
    /// In the order in which the agent runs them.
    pub steps: Vec<PlannedStep>,
}

#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedStep {
    pub id: String,
    /// `name@version`.
    pub generator: String,
    pub stage: String,
    /// `cached` or `generated`: whether a launch now would run its generator.
    pub content: StepProgress,
    /// What the generator may reach.
    pub access: StepAccess,
    pub pins: Vec<PinView>,
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// At most 10,000.
    pub paths: Vec<PlannedEntry>,
    /// What runs after the entries are in place, in order.
    pub actions: Vec<String>,
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlannedEntry {
    pub path: String,
    pub size: u64,
    /// Octal: `0644`.
    pub mode: String,
    /// It differs per launch.
    pub instance: bool,
    /// Of a file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub sha256: Option<Digest>,
}

// === impl Launches ===

impl Launches {
    /// Plans a request. Nothing is recorded; layers that had to be made are kept, as any cached work.
    pub async fn plan(&self, tenant: &Tenant, request: &LaunchRequest) -> Result<Plan, Problem> {
        self.plan_revision(tenant, request, Revision::Asked).await
    }

    /// Plans a request with a revision of its profile that may not be saved yet.
    pub async fn plan_revision(
        &self,
        tenant: &Tenant,
        request: &LaunchRequest,
        profile: Revision<'_>,
    ) -> Result<Plan, Problem> {
        let prepared = self
            .prepare(Wanted {
                tenant,
                request,
                profile,
                base: None,
                locks: LockChoice::DryRun,
            })
            .await?;
        let now = self.app.clock.now();
        let who = Recipient {
            launch: "plan".into(),
            instance: bootsplice_engine::contract::Instance {
                id: request.instance.id.clone(),
                profile: prepared.profile_name(),
                attributes: request.instance.attributes.clone(),
            },
            product_uuid: request.instance.product_uuid,
            sequence: 0,
            issued: u64::try_from(now.unix_timestamp()).unwrap_or(0),
            report: None,
        };
        let steps = Steps::of(&prepared);
        let archives = self
            .make_content(&prepared, &who, &steps)
            .await
            .map_err(problem)?;
        let mut points = Vec::new();
        for (index, archive) in archives.iter().enumerate() {
            points.push(planned_point(&prepared, index, archive, &steps.look()).await?);
        }
        Ok(Plan {
            profile: prepared.profile_name(),
            base: prepared.base.volume,
            size: prepared.layout.size,
            points,
            warnings: prepared.warnings.clone(),
        })
    }
}

/// Why there is no content, as a plan tells it.
fn problem(error: ContentError) -> Problem {
    match (&error.refusal, error.reason) {
        (Some(refusal), _) => {
            let at = format!("/profile/steps/{}", refusal.order);
            refused(&refusal.step, &refusal.error, &at)
        }
        (None, Reason::Capacity) => Problem::new(Kind::CapacityExceeded, error.detail),
        (None, _) => Problem::new(Kind::PlanRefused, error.detail),
    }
}

async fn planned_point(
    prepared: &Prepared,
    index: usize,
    archive: &Arc<PointArchive>,
    progress: &[StepProgress],
) -> Result<PlannedPoint, Problem> {
    let internal = |error: String| Problem::new(Kind::Internal, error);
    let one = &prepared.points[index];
    let mut manifest: Option<PointManifest> = None;
    let mut documents: Vec<(String, bool, StepDocument)> = Vec::new();
    let payload = &archive.archive().payload;
    let mut start =
        payload.length - 1 - payload.layers.iter().map(|layer| layer.blocks).sum::<u64>();
    for described in &payload.layers {
        let bytes = read_layer(archive, start, described.blocks).await?;
        start += described.blocks;
        let steps = &described.steps;
        layer::read(&bytes[..], MOST_TAR, |entry, content| {
            let mut text = Vec::new();
            if entry.path == paths::manifest() {
                content.read_to_end(&mut text)?;
                manifest = serde_json::from_slice(&text).ok();
            }
            for step in steps {
                let instance = entry.path == paths::instance(step);
                if instance || entry.path == paths::step(step) {
                    content.take(64 << 20).read_to_end(&mut text)?;
                    if let Ok(document) = serde_json::from_slice(&text) {
                        documents.push((step.clone(), instance, document));
                    }
                }
            }
            Ok::<_, ArchiveError>(())
        })
        .map_err(|error| internal(error.to_string()))?;
    }
    let manifest =
        manifest.ok_or_else(|| internal("an archive without a manifest was made".into()))?;
    let mut steps: Vec<_> = manifest.steps.iter().collect();
    steps.sort_by_key(|step| (step.stage, step.order));
    let steps = steps
        .into_iter()
        .map(|step| planned_step(step, one, &documents, progress))
        .collect();
    Ok(PlannedPoint {
        name: one.point.name.to_string(),
        capacity: one.point.capacity_blocks() * BLOCK_U64,
        needed: payload.length * BLOCK_U64,
        lock: one.lock.digest(),
        steps,
    })
}

fn planned_step(
    step: &ManifestStep,
    point: &super::prepare::PreparedPoint,
    documents: &[(String, bool, StepDocument)],
    progress: &[StepProgress],
) -> PlannedStep {
    let mine = || documents.iter().filter(|(id, _, _)| *id == step.id);
    let entries = mine().flat_map(|(_, instance, document)| {
        document.entries.iter().map(|entry| (*instance, entry))
    });
    let mut actions: Vec<_> = mine()
        .flat_map(|(_, _, document)| &document.actions)
        .collect();
    actions.sort_by_key(|one| one.index);
    let lock = point.lock.step(&step.id);
    let prepared = point.steps.iter().find(|one| one.step.id == step.id);
    PlannedStep {
        id: step.id.clone(),
        generator: step.generator.clone(),
        stage: serde_json::to_value(step.stage)
            .ok()
            .and_then(|stage| stage.as_str().map(str::to_owned))
            .unwrap_or_default(),
        content: progress
            .iter()
            .find(|one| one.id == step.id)
            .cloned()
            .unwrap_or(StepProgress {
                id: step.id.clone(),
                state: super::content::StepState::Generated,
            }),
        access: prepared.map(|one| one.access.clone()).unwrap_or_default(),
        pins: lock
            .map(|lock| lock.pins.iter().map(PinView::of).collect())
            .unwrap_or_default(),
        entries: entries.clone().count() as u64,
        bytes: entries.clone().map(|(_, entry)| entry.size).sum(),
        paths: entries
            .take(LISTED)
            .map(|(instance, entry)| PlannedEntry {
                path: entry.path.clone(),
                size: entry.size,
                mode: format!("{:04o}", entry.mode),
                instance,
                sha256: entry.sha256,
            })
            .collect(),
        actions: actions.iter().map(|one| describe(&one.action)).collect(),
        notes: mine()
            .flat_map(|(_, _, document)| document.notes.clone())
            .collect(),
    }
}

/// An action in a line; values of environments stay out, for they may be secrets.
pub fn describe(action: &Action) -> String {
    match action {
        Action::Edit(edit) => format!("edit {} ({} changes)", edit.file, edit.changes.len()),
        Action::Run(command) => {
            let user = command.user.as_deref().unwrap_or("root");
            format!(
                "run {} as {user} ({} bytes of script)",
                command.interpreter,
                command.text.len()
            )
        }
        Action::Service(service) => {
            let mut words = Vec::new();
            if service.enable {
                words.push("enable");
            }
            if service.start {
                words.push("start");
            }
            let of = service
                .user
                .as_ref()
                .map(|user| format!(" of {user}"))
                .unwrap_or_default();
            format!("{} {}{of}", words.join(" and "), service.unit)
        }
    }
}

/// A layer's padded bytes: plans read their documents back from what would be sent.
async fn read_layer(archive: &PointArchive, start: u64, blocks: u64) -> Result<Bytes, Problem> {
    let mut bytes = Vec::with_capacity((blocks * BLOCK_U64) as usize);
    for block in start..start + blocks {
        let read = archive.block(block).await;
        match read.map_err(|error| Problem::new(Kind::Internal, error.to_string()))? {
            Some(chunk) => bytes.extend_from_slice(chunk.bytes()),
            None => bytes.resize(bytes.len() + BLOCK_U64 as usize, 0),
        }
    }
    Ok(bytes.into())
}
