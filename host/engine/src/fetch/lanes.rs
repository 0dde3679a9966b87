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

// === impl Lanes ===

impl Lanes {
    pub fn new(width: usize) -> Self {
        Self {
            width: width.max(1),
            origins: Mutex::default(),
        }
    }

    /// Waits for a place at the origin of `url`, which holds the semaphore that the map has weakly. None: it is closed, which it never is.
    pub async fn enter(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        let origin = format!(
            "{}://{}:{}",
            url.scheme(),
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        self.lane(origin).acquire_owned().await.ok()
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
