//! A volume that is kept, made again from its record for later readers.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::Tenant;
use crate::launch::Launches;
use crate::launch::content::Recipient;
use crate::launch::live::{ContentState, Live, Ready};
use crate::launch::record::{Launch, State};
use crate::problem::{Kind, Problem};

// === impl Launches ===

impl Launches {
    /// The live half of a launch: the one at work, or one made again from the record for readers of a volume that is kept.
    pub async fn live(&self, tenant: &Tenant, id: &str) -> Result<(Launch, Arc<Live>), Problem> {
        let launch = self.ledger.get(tenant.as_str(), id).await?;
        if let Some(live) = self.live.lock().get(id).cloned() {
            return Ok((launch, live));
        }
        match &launch.state {
            State::Committed { .. } if self.is_readable(&launch, self.app.clock.now()) => {}
            State::Committed { .. } => {
                let kept = self.app.config.limits.volume_retention;
                let detail = format!(
                    "the volume of launch `{id}` could be read until {kept} s after its end: launch again"
                );
                return Err(Problem::new(Kind::Gone, detail));
            }
            State::Failed { reason, detail, .. } => {
                let detail = format!(
                    "launch `{id}` is failed and has no volume ({}: {detail})",
                    reason.word()
                );
                return Err(Problem::new(Kind::Conflict, detail));
            }
            State::Cancelled => {
                let detail = format!("launch `{id}` is cancelled and has no volume");
                return Err(Problem::new(Kind::Conflict, detail));
            }
            State::Accepted | State::Running { .. } => {
                let detail = format!("launch `{id}` is being taken up");
                return Err(
                    Problem::new(Kind::Unavailable, detail).retry_after(Duration::from_secs(1))
                );
            }
        }
        let _reviving = self.reviving.lock(id.to_owned()).await;
        if let Some(live) = self.live.lock().get(id).cloned() {
            return Ok((launch, live));
        }
        let prepared = self.prepare_again(&launch).await?;
        let (live, promises) = self
            .go_live(&launch, &prepared, self.app.shutdown.child_token())
            .map_err(|error| Problem::new(Kind::Internal, error.to_string()))?;
        let who = Recipient::of(&launch, self.report_address(&launch));
        let archives = self
            .make_content(&prepared, &who, &live.steps)
            .await
            .map_err(|error| Problem::new(Kind::Unavailable, error.detail))?;
        let ready = Ready::of_content(&prepared, &archives);
        if launch.made.as_ref().is_some_and(|made| *made != ready.made) {
            self.live.lock().remove(id);
            let detail = format!(
                "launch `{id}` cannot be made again as it was: keys or generators changed since"
            );
            return Err(Problem::new(Kind::Conflict, detail));
        }
        let _ = live.archives.set(archives.clone());
        live.content
            .send_replace(ContentState::Ready(Arc::new(ready)));
        for (promise, archive) in promises.into_iter().zip(archives) {
            promise.fulfil(archive);
        }
        Ok((launch, live))
    }
}
