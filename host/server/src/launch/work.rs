//! The worker of a launch: both tracks at once, every change durable before it is told.

mod content;
mod end;
mod revive;
mod stream;

pub use stream::progress_json;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bootsplice_blocks::BlockSource;
use bootsplice_sinks::{ArchivePromise, ArchiveSlot, LoadOrder, Readers, SinkError, VolumeReader};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Launches;
use super::content::Steps;
use super::ledger::LedgerError;
use super::live::{ContentState, Live};
use super::prepare::{LockChoice, Prepared, Revision, Wanted};
use super::record::{Content, Launch, Reason, State, Stream};
use crate::auth::Tenant;
use crate::problem::{Kind, Problem};

// === impl Launches ===

impl Launches {
    /// Takes up every launch that is not final: called once, when the host starts.
    pub async fn resume(&self) -> Result<usize, LedgerError> {
        let unfinished = self.ledger.unfinished().await?;
        let count = unfinished.len();
        for launch in unfinished {
            let launches = self.clone();
            tokio::spawn(async move { launches.resume_one(launch).await });
        }
        Ok(count)
    }

    async fn resume_one(&self, launch: Launch) {
        let span = span(&launch);
        let work = async {
            tracing::info!("taking up a launch that was interrupted");
            let now = self.app.clock.now();
            let noted = self
                .ledger
                .update(&launch.tenant, &launch.id, |launch| {
                    launch.note(now, "resumed", None)
                })
                .await;
            if let Err(error) = noted {
                tracing::error!(%error, "an interrupted launch cannot be taken up");
                return;
            }
            match self.prepare_again(&launch).await {
                Ok(prepared) => self.spawn(launch, prepared, true),
                Err(problem) => {
                    let detail = format!(
                        "the host was restarted, and what the launch needs cannot be had: {}",
                        problem.text()
                    );
                    let retryable = matches!(problem.kind, Kind::Unavailable | Kind::Upstream);
                    self.end(&launch, failed(Reason::Restart, detail, retryable))
                        .await;
                }
            }
        };
        work.instrument(span).await;
    }

    /// Prepares from a record what was prepared when it was made.
    pub async fn prepare_again(&self, launch: &Launch) -> Result<Prepared, Problem> {
        let tenant: Tenant = launch
            .tenant
            .parse()
            .map_err(|error| Problem::new(Kind::Internal, format!("{error}")))?;
        self.prepare(Wanted {
            tenant: &tenant,
            request: &launch.request,
            profile: Revision::Recorded(launch.profile_version),
            base: Some(&launch.base),
            locks: LockChoice::Pinned(&launch.locks),
        })
        .await
    }

    /// Starts the worker of an admitted launch. Its volume can be asked for from now on.
    pub fn start(&self, launch: Launch, prepared: Prepared) {
        self.spawn(launch, prepared, false);
    }

    fn spawn(&self, launch: Launch, prepared: Prepared, resumed: bool) {
        let launches = self.clone();
        let cancel = self.app.shutdown.child_token();
        let live = self.go_live(&launch, &prepared, cancel);
        let span = span(&launch);
        let work = async move {
            match live {
                Ok((live, promises)) => {
                    launches
                        .work(launch, prepared, live, promises, resumed)
                        .await
                }
                Err(error) => {
                    let end = failed(Reason::Source, error.to_string(), false);
                    launches.end(&launch, end).await;
                }
            }
        };
        tokio::spawn(work.instrument(span));
    }

    /// Everything between Accepted and the end.
    async fn work(
        &self,
        launch: Launch,
        prepared: Prepared,
        live: Arc<Live>,
        promises: Vec<ArchivePromise>,
        resumed: bool,
    ) {
        let left = (launch.deadline - self.app.clock.now()).max(time::Duration::ZERO);
        let deadline = Duration::try_from(left).unwrap_or_default();
        let run = self.run(&launch, &prepared, &live, promises, resumed);
        let end = tokio::select! {
            biased;
            end = run => end,
            () = tokio::time::sleep(deadline) => {
                live.cancel.cancel();
                let reason = match launch.request.sink {
                    None if live.ready().is_some() => Reason::Unconfirmed,
                    _ => Reason::Deadline,
                };
                Some(failed(reason, format!("not done by {}", launch.deadline), true))
            }
        };
        // None: somebody else made the record final, or the host is ending and the record stays as it is for the next start.
        if let Some(end) = end {
            self.end(&launch, end).await;
        }
        // Readers under way keep their half of it; later ones of a volume that is kept make it again from the cache.
        self.live.lock().remove(&launch.id);
        self.events.close(&launch.id);
    }

    /// Makes the volume readable: the base at once, the archives when they are there.
    fn go_live(
        &self,
        launch: &Launch,
        prepared: &Prepared,
        cancel: CancellationToken,
    ) -> Result<(Arc<Live>, Vec<ArchivePromise>), SinkError> {
        let mut promises = Vec::new();
        let mut slots = Vec::new();
        for point in &prepared.points {
            let (promise, slot) = ArchiveSlot::new(point.point.name.as_str());
            promises.push(promise);
            slots.push(slot);
        }
        let base: Arc<dyn BlockSource> = prepared.volume.clone();
        let reader = VolumeReader::new(prepared.layout.clone(), prepared.base.volume, base, slots)?;
        let order = LoadOrder::new(&prepared.layout, prepared.volume.order());
        let live = Arc::new(Live {
            tenant: launch.tenant.clone(),
            reader: Arc::new(reader),
            order,
            steps: Steps::of(prepared),
            readers: Readers::new(prepared.layout.size),
            cancel,
            content: watch::Sender::new(ContentState::Making),
            archives: OnceLock::new(),
        });
        self.live.lock().insert(launch.id.clone(), live.clone());
        Ok((live, promises))
    }

    async fn run(
        &self,
        launch: &Launch,
        prepared: &Prepared,
        live: &Arc<Live>,
        promises: Vec<ArchivePromise>,
        resumed: bool,
    ) -> Option<State> {
        let place = tokio::select! {
            place = self.places.clone().acquire_owned() => place.ok()?,
            () = live.cancel.cancelled() => return None,
        };
        self.update(launch, "generating", |state| {
            *state = State::Running {
                content: Content::Generating,
                stream: Stream::Waiting,
            };
        })
        .await?;
        let content = self.content_track(launch, prepared, live, promises);
        let stream = self.stream_track(launch, live, resumed);
        tokio::pin!(content, stream);
        // A failure of the content explains the failure of the stream that waited for it.
        let end = tokio::select! {
            made = &mut content => match made {
                Ok(()) => {
                    // A volume that is read over HTTP may wait long for its client; it takes no place from others meanwhile.
                    let _place = launch.request.sink.is_some().then_some(place);
                    stream.await
                }
                Err(error) => {
                    // The host ends, or somebody ended the launch: its record is not this worker's to finish.
                    let interrupted = live.cancel.is_cancelled();
                    live.cancel.cancel();
                    let _ = stream.await;
                    Err((!interrupted).then(|| failed(error.reason, error.detail, error.retryable)))
                }
            },
            end = &mut stream => end,
        };
        match end {
            Ok(state) => Some(state),
            Err(state) => state,
        }
    }

    fn report_address(&self, launch: &Launch) -> Option<bootsplice_archive::header::ReportAddress> {
        let url = self.app.config.public_url.as_ref()?;
        let expires = launch.created + time::Duration::days(30);
        Some(bootsplice_archive::header::ReportAddress {
            url: format!("{}/v1/reports", url.as_str().trim_end_matches('/')),
            token: self.reports.issue(&launch.tenant, &launch.id, expires),
            expires: u64::try_from(expires.unix_timestamp()).unwrap_or(0),
        })
    }
}

fn span(launch: &Launch) -> tracing::Span {
    tracing::info_span!("launch", launch = %launch.id, tenant = %launch.tenant)
}

fn failed(reason: Reason, detail: String, retryable: bool) -> State {
    State::Failed {
        reason,
        detail,
        retryable,
    }
}
