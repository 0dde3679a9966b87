//! The registry of this host: the same tokens, records and clock as everything else; blobs where `place` says (RFC 0009).

mod gate;
mod inspector;
mod place;

use std::sync::Arc;
use std::time::Duration;

use bootsplice_registry::{Limits, Parts, Registry, Surroundings};
use time::OffsetDateTime;

use self::gate::Door;
use self::inspector::Shelf;
use crate::app::AppState;
use crate::clock::{Clock, Entropy};
use crate::plugins::Installed;

/// How often what nobody refers to is looked for.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The host's clock and randomness, as the registry asks for them.
#[derive(Debug)]
struct Own {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl Surroundings for Own {
    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    fn id(&self) -> String {
        hex::encode(self.entropy.array::<16>())
    }
}

/// Opens the registry of a host.
pub async fn open(app: &AppState, installed: &Installed) -> anyhow::Result<Registry> {
    let registry = Registry::open(Parts {
        objects: place::open(app).await?,
        records: app.store.clone(),
        spool: app.state.uploads(),
        gate: Arc::new(Door::new(app.tokens.clone(), app.namespaces.clone())),
        inspector: Arc::new(Shelf::new(app.clone(), installed.clone())),
        surroundings: Arc::new(Own {
            clock: app.clock.clone(),
            entropy: app.entropy.clone(),
        }),
        limits: Limits {
            namespace: app.config.limits.namespace.0,
            ..Limits::default()
        },
    })?;
    Ok(registry)
}

/// Frees what nothing refers to, until the host ends. What cannot be freed now is tried again next time.
pub async fn keep_up(app: AppState, registry: Registry) {
    let mut times = tokio::time::interval(EVERY);
    times.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = times.tick() => match registry.collect().await {
                Ok(freed) if freed == Default::default() => {}
                Ok(freed) => tracing::info!(
                    uploads = freed.uploads,
                    blobs = freed.blobs,
                    objects = freed.objects,
                    bytes = freed.bytes,
                    "the registry freed what nothing refers to"
                ),
                Err(error) => tracing::warn!(%error, "the registry cannot be swept now"),
            },
            () = app.shutdown.cancelled() => return,
        }
    }
}
