//! A launch that somebody works on or reads: its volume, its progress, its end.

use std::collections::BTreeMap;
use std::iter::zip;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bootsplice_sinks::{LoadOrder, Readers, VolumeReader};
use bootsplice_volume::{LaunchManifest, archive_digest};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::archive::PointArchive;
use super::content::{ContentError, Steps};
use super::prepare::Prepared;
use super::record::Made;
use crate::problem::{Kind, Problem};

/// A request that needs the finished plan waits this long at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// The working half of a launch.
pub struct Live {
    pub tenant: String,
    pub reader: Arc<VolumeReader>,
    pub order: LoadOrder,
    pub steps: Steps,
    /// The stream's progress, into a sink or to readers over HTTP.
    pub readers: Readers,
    pub cancel: CancellationToken,
    pub(super) content: watch::Sender<ContentState>,
    pub(super) archives: OnceLock<Vec<Arc<PointArchive>>>,
}

/// Whether the plan is known.
#[derive(Clone, Debug)]
pub enum ContentState {
    Making,
    Ready(Arc<Ready>),
    Failed(ContentError),
}

/// A finished plan.
#[derive(Clone, Debug)]
pub struct Ready {
    pub manifest: LaunchManifest,
    pub made: Made,
}

// === impl Live ===

impl Live {
    /// The finished plan when there is one.
    pub fn ready(&self) -> Option<Arc<Ready>> {
        match &*self.content.borrow() {
            ContentState::Ready(ready) => Some(ready.clone()),
            _ => None,
        }
    }

    /// Waits for the plan, a little.
    pub async fn wait_ready(&self) -> Result<Arc<Ready>, Problem> {
        let mut content = self.content.subscribe();
        let settled = tokio::time::timeout(
            PATIENCE,
            content.wait_for(|state| !matches!(state, ContentState::Making)),
        )
        .await;
        match settled.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(ContentState::Ready(ready))) => Ok(ready.clone()),
            Ok(Ok(ContentState::Failed(error))) => {
                Err(Problem::new(Kind::Conflict, error.detail.clone()))
            }
            Ok(Ok(ContentState::Making) | Err(_)) => {
                Err(Problem::new(Kind::Unavailable, "the launch ended"))
            }
            Err(_) => {
                let detail = "the content of this launch is still being made; a range of it cannot be told yet";
                Err(Problem::new(Kind::Unavailable, detail).retry_after(Duration::from_secs(5)))
            }
        }
    }

    /// The archives by point, once they are made.
    pub fn archives(&self) -> Option<&[Arc<PointArchive>]> {
        self.archives.get().map(Vec::as_slice)
    }
}

// === impl Ready ===

impl Ready {
    /// The plan of a launch whose archives are made, in the order of its points.
    pub fn of_content(prepared: &Prepared, archives: &[Arc<PointArchive>]) -> Self {
        let named = zip(&prepared.points, archives).map(|(point, archive)| {
            let digest = archive_digest(archive.archive().digests());
            (point.point.name.clone(), digest)
        });
        Self::of(LaunchManifest::new(
            prepared.base.volume,
            prepared.layout.size,
            named.collect(),
        ))
    }

    fn of(manifest: LaunchManifest) -> Self {
        let archives: BTreeMap<_, _> = manifest
            .archives
            .iter()
            .map(|(point, digest)| (point.to_string(), *digest))
            .collect();
        let made = Made {
            archives,
            manifest: manifest.digest(),
        };
        Self { manifest, made }
    }
}
