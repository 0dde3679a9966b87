//! How a launch ends: by itself, at somebody's wish, or by its client's word that the volume is right.

use std::sync::Arc;

use bootsplice_content::Digest;
use serde_json::json;

use crate::auth::Tenant;
use crate::launch::Launches;
use crate::launch::ledger::LedgerError;
use crate::launch::live::Live;
use crate::launch::record::{Launch, State};
use crate::problem::{Kind, Problem};

// === impl Launches ===

impl Launches {
    /// Writes the end of a launch, tells it and counts it. One that is final already stays as it is.
    pub async fn end(&self, launch: &Launch, state: State) {
        let at = self.app.clock.now();
        let detail = match &state {
            State::Failed { reason, detail, .. } => Some(format!("{}: {detail}", reason.word())),
            _ => None,
        };
        let written = self
            .ledger
            .update(&launch.tenant, &launch.id, |launch| {
                launch.state = state.clone();
                launch.note(at, state.word(), detail.clone());
            })
            .await;
        match written {
            Ok(_) => {
                self.metrics.ended(&state);
                tracing::info!(state = state.word(), detail, "the launch ended");
                self.events.tell(&launch.id, "state", json!(state));
            }
            Err(LedgerError::Final { .. } | LedgerError::Missing { .. }) => {}
            Err(error) => {
                tracing::error!(%error, "the end of the launch cannot be written; the next start takes it up")
            }
        }
    }

    /// A change on the way. None when the launch is final or its record cannot be written.
    pub(super) async fn update(
        &self,
        launch: &Launch,
        event: &str,
        change: impl Fn(&mut State) + Send + Sync,
    ) -> Option<Launch> {
        let at = self.app.clock.now();
        let written = self
            .ledger
            .update(&launch.tenant, &launch.id, |launch| {
                change(&mut launch.state);
                launch.note(at, event, None);
            })
            .await;
        match written {
            Ok(launch) => {
                self.events.tell(&launch.id, "state", json!(launch.state));
                Some(launch)
            }
            Err(error) => {
                tracing::error!(%error, "the launch cannot go on");
                None
            }
        }
    }

    /// SHA-256 of the whole volume of a live launch.
    pub async fn volume_digest(&self, live: &Live) -> Result<Digest, Problem> {
        let digest = self.midstates.digest(&live.reader).await;
        digest.map_err(|error| {
            let error = Arc::new(error);
            live.readers.failed(&error);
            Problem::new(Kind::Upstream, error.to_string())
        })
    }

    /// Ends a launch at somebody's wish.
    pub async fn cancel(&self, tenant: &Tenant, id: &str) -> Result<Launch, LedgerError> {
        let at = self.app.clock.now();
        let launch = self
            .ledger
            .update(tenant.as_str(), id, |launch| {
                launch.state = State::Cancelled;
                launch.note(at, "cancelled", None);
            })
            .await?;
        self.metrics.ended(&launch.state);
        let live = self.live.lock().remove(id);
        if let Some(live) = live {
            live.cancel.cancel();
        }
        self.events.tell(id, "state", json!(launch.state));
        Ok(launch)
    }

    /// Commits an HTTP launch whose client holds the volume.
    pub async fn confirm(
        &self,
        tenant: &Tenant,
        id: &str,
        sha256: Digest,
    ) -> Result<Launch, Problem> {
        let (launch, live) = self.live(tenant, id).await?;
        if launch.request.sink.is_some() {
            return Err(Problem::new(
                Kind::Conflict,
                format!("launch `{id}` goes to a sink; nothing is to be confirmed"),
            ));
        }
        live.wait_ready().await?;
        let actual = self.volume_digest(&live).await?;
        if actual != sha256 {
            let detail = format!(
                "the volume of launch `{id}` has the digest {actual}, not {sha256}: what was received is not the volume"
            );
            return Err(Problem::new(Kind::DigestMismatch, detail));
        }
        if launch.is_final() {
            return Ok(launch);
        }
        let at = self.app.clock.now();
        let committed = self
            .ledger
            .update(tenant.as_str(), id, |launch| {
                launch.state = State::Committed {
                    sha256: Some(sha256),
                };
                launch.note(at, "committed", Some("confirmed by its client".into()));
            })
            .await;
        let launch = match committed {
            Ok(launch) => launch,
            Err(LedgerError::Final { .. }) => {
                return Ok(self.ledger.get(tenant.as_str(), id).await?);
            }
            Err(error) => return Err(error.into()),
        };
        self.metrics.ended(&launch.state);
        self.events.tell(id, "state", json!(launch.state));
        live.cancel.cancel();
        Ok(launch)
    }
}
