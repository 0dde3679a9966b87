//! What time takes away: old records, layers nobody used, volumes whose retention is over.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::Launches;
use super::record::{Launch, State};

/// How often there is something to take away.
const EVERY: Duration = Duration::from_secs(10 * 60);

// === impl Launches ===

impl Launches {
    /// Runs until the host ends. What cannot be taken away now is tried again next time.
    pub async fn keep_up(self) {
        let mut times = tokio::time::interval(EVERY);
        times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = times.tick() => self.take_away().await,
                () = self.app.shutdown.cancelled() => return,
            }
        }
    }

    /// One round.
    pub async fn take_away(&self) {
        let now = self.app.clock.now();
        let limits = &self.app.config.limits;
        match self
            .ledger
            .sweep(seconds(limits.launch_retention), now)
            .await
        {
            Ok(0) => {}
            Ok(launches) => tracing::info!(launches, "deleted launches whose retention is over"),
            Err(error) => tracing::warn!(%error, "old launches cannot be deleted now"),
        }
        self.close_volumes(now).await;
        let before = SystemTime::from(now - seconds(limits.cache_retention));
        let (layers, engine) = (self.layers.clone(), self.installed.engine().clone());
        let swept = tokio::task::spawn_blocking(move || {
            Ok::<_, std::io::Error>((layers.sweep(before)?, engine.blobs().sweep(before)?))
        });
        match swept.await {
            Ok(Ok((0, (0, _)))) | Err(_) => {}
            Ok(Ok((layers, (artefacts, _)))) => {
                tracing::info!(layers, artefacts, "deleted what nobody used for long");
            }
            Ok(Err(error)) => tracing::warn!(%error, "the caches cannot be swept now"),
        }
    }

    /// Lets go of what readers of finished launches made again and may not read any more.
    async fn close_volumes(&self, now: OffsetDateTime) {
        let held: Vec<(String, String)> = {
            let live = self.live.lock();
            live.iter()
                .map(|(id, live)| (live.tenant.clone(), id.clone()))
                .collect()
        };
        for (tenant, id) in held {
            let over = match self.ledger.get(&tenant, &id).await {
                Ok(launch) => launch.is_final() && !self.is_readable(&launch, now),
                Err(super::LedgerError::Missing { .. }) => true,
                Err(_) => false,
            };
            if over {
                self.live.lock().remove(&id);
            }
        }
    }

    /// Whether the volume of a final launch can still be read.
    pub fn is_readable(&self, launch: &Launch, now: OffsetDateTime) -> bool {
        let retention = seconds(self.app.config.limits.volume_retention);
        matches!(launch.state, State::Committed { .. })
            && launch.ended().is_some_and(|ended| now < ended + retention)
    }
}

fn seconds(seconds: u64) -> time::Duration {
    // A century stands for ever: no date overflows by it.
    const CENTURY: u64 = 100 * 365 * 86_400;
    time::Duration::seconds(seconds.min(CENTURY).cast_signed())
}
