//! The content track: the archives made, told and promised to the stream.

use std::sync::Arc;

use bootsplice_sinks::ArchivePromise;
use serde_json::json;

use crate::launch::Launches;
use crate::launch::content::{ContentError, Recipient};
use crate::launch::ledger::LedgerError;
use crate::launch::live::{ContentState, Live, Ready};
use crate::launch::prepare::Prepared;
use crate::launch::record::{Content, Launch, Reason, State};

// === impl Launches ===

impl Launches {
    pub(super) async fn content_track(
        &self,
        launch: &Launch,
        prepared: &Prepared,
        live: &Live,
        promises: Vec<ArchivePromise>,
    ) -> Result<(), ContentError> {
        let who = Recipient::of(launch, self.report_address(launch));
        let made = tokio::select! {
            made = self.make_content(prepared, &who, &live.steps) => made,
            () = live.cancel.cancelled() => return Err(ContentError { reason: Reason::Restart, detail: "cancelled".into(), retryable: true, refusal: None }),
        };
        let archives = match made {
            Ok(archives) => archives,
            Err(error) => {
                for promise in promises {
                    promise.fail(&error.detail);
                }
                live.content
                    .send_replace(ContentState::Failed(error.clone()));
                return Err(error);
            }
        };
        let ready = Ready::of_content(prepared, &archives);
        let made = ready.made.clone();
        let _ = live.archives.set(archives.clone());
        // The record names the plan before a byte of it can reach a sink.
        let steps = live.steps.look();
        let noted = self
            .ledger
            .update(&launch.tenant, &launch.id, |launch| {
                launch.made = Some(made.clone());
                launch.steps = steps.clone();
                if let State::Running { content, .. } = &mut launch.state {
                    *content = Content::Ready;
                }
                launch.note(self.app.clock.now(), "content-ready", None);
            })
            .await;
        if let Err(error) = noted
            && !matches!(error, LedgerError::Final { .. })
        {
            let detail = format!("the record cannot be written: {error}");
            return Err(ContentError {
                reason: Reason::Restart,
                detail,
                retryable: true,
                refusal: None,
            });
        }
        live.content
            .send_replace(ContentState::Ready(Arc::new(ready)));
        for (promise, archive) in promises.into_iter().zip(archives) {
            promise.fulfil(archive);
        }
        self.events.tell(
            &launch.id,
            "content",
            json!({"state": "ready", "steps": live.steps.look()}),
        );
        Ok(())
    }
}
