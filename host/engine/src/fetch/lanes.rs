//! How many fetches go to one origin at a time.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// One semaphore for each origin that is being asked; gone with its last holder.
pub struct Lanes {
    width: usize,
    origins: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A place at one origin.
pub struct Lane {
    _permit: OwnedSemaphorePermit,
    // The map holds it weakly.
    _lane: Arc<Semaphore>,
}

// === impl Lanes ===

impl Lanes {
    pub fn new(width: usize) -> Self {
        Self {
            width: width.max(1),
            origins: Mutex::default(),
        }
    }

    /// Waits for a place at the origin of `url`. None: lanes are closed, which they never are.
    pub async fn enter(&self, url: &Url) -> Option<Lane> {
        let origin = format!(
            "{}://{}:{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let lane = self.lane(origin);
        let permit = lane.clone().acquire_owned().await.ok()?;
        Some(Lane {
            _permit: permit,
            _lane: lane,
        })
    }

    fn lane(&self, origin: String) -> Arc<Semaphore> {
        let mut origins = self.origins.lock();
        origins.retain(|_, lane| lane.strong_count() > 0);
        if let Some(lane) = origins.get(&origin).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::new(Semaphore::new(self.width));
        origins.insert(origin, Arc::downgrade(&lane));
        lane
    }
}
