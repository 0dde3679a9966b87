//! The worker of a launch: both tracks at once, every change durable before it is told.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bootsplice_blocks::{BlockSource, BlocksError};
use bootsplice_content::Digest;
use bootsplice_sinks::{
    ArchivePromise, ArchiveSlot, DeviceSink, Existing, FileSink, Geometry, LoadOrder, NamedSink,
    Progress, Readers, Sink, SinkError, StreamState, Target, VolumeReader, drive,
};
use bootsplice_volume::{LaunchManifest, archive_digest};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Launches;
use super::content::{ContentError, Recipient, Steps};
use super::ledger::LedgerError;
use super::live::{ContentState, Live, Ready};
use super::prepare::{LockChoice, Prepared, Wanted};
use super::record::{Content, Launch, Reason, State, Stream};
use super::request::NamedTarget;
use crate::auth::Tenant;
use crate::config::Place;
use crate::problem::{Kind, Problem};

/// How often the progress of a stream is told.
const TELL: Duration = Duration::from_millis(250);

/// How a launch ends.
#[derive(Clone, Debug)]
pub struct End {
    pub state: State,
}

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
            profile_version: Some(launch.profile_version),
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

    async fn content_track(
        &self,
        launch: &Launch,
        prepared: &Prepared,
        live: &Live,
        promises: Vec<ArchivePromise>,
    ) -> Result<(), ContentError> {
        let who = Recipient::of(launch, self.report_address(launch));
        let made = tokio::select! {
            made = self.make_content(prepared, &who, &live.steps) => made,
            () = live.cancel.cancelled() => return Err(ContentError { reason: Reason::Restart, detail: "cancelled".into(), retryable: true }),
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
        let named = prepared
            .points
            .iter()
            .zip(&archives)
            .map(|(point, archive)| {
                (
                    point.point.name.clone(),
                    archive_digest(archive.archive().digests()),
                )
            });
        let manifest =
            LaunchManifest::new(prepared.base.volume, prepared.layout.size, named.collect());
        let ready = Ready::of(manifest);
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

    /// `Ok` ends the launch; `Err(None)` leaves its record to others.
    async fn stream_track(
        &self,
        launch: &Launch,
        live: &Arc<Live>,
        resumed: bool,
    ) -> Result<State, Option<State>> {
        let Some(target) = &launch.request.sink else {
            return Err(self.watch_readers(launch, live).await);
        };
        let geometry = live.reader.geometry();
        let sink = self
            .open_sink(&launch.tenant, target, geometry, resumed)
            .await
            .map_err(|error| Some(sink_failed(&error)))?;
        let telling = self.tell_progress(launch, live);
        let driving = drive(
            &live.reader,
            &live.order,
            &*sink,
            live.readers.progress(),
            &live.cancel,
        );
        tokio::pin!(telling);
        let driven = tokio::select! {
            driven = driving => driven,
            () = &mut telling => Err(SinkError::Cancelled),
        };
        let progress = live.readers.progress().borrow().clone();
        self.metrics
            .held_seconds
            .inc_by(progress.held_time().as_secs_f64());
        self.metrics.streamed_bytes.inc_by(progress.done);
        match driven {
            Ok(()) => Ok(State::Committed { sha256: None }),
            Err(SinkError::Cancelled) => Err(None),
            Err(error) => Err(Some(sink_failed(&error))),
        }
    }

    /// Readers drive an HTTP volume: a client's confirmation, its cancellation or the deadline ends it, and so do bytes that cannot be had.
    async fn watch_readers(&self, launch: &Launch, live: &Live) -> Option<State> {
        let end = tokio::select! {
            () = live.cancel.cancelled() => None,
            error = live.readers.failure() => Some(sink_failed(&error)),
            () = self.tell_progress(launch, live) => None,
        };
        let held = live.readers.progress().borrow().held_time();
        self.metrics.held_seconds.inc_by(held.as_secs_f64());
        end
    }

    /// Tells listeners and the record how far the stream is. Never ends by itself.
    async fn tell_progress(&self, launch: &Launch, live: &Live) {
        let mut progress = live.readers.progress().subscribe();
        let mut told = StreamState::Waiting;
        loop {
            if progress.changed().await.is_err() {
                return std::future::pending().await;
            }
            let now = progress.borrow_and_update().clone();
            if now.state != told {
                told = now.state.clone();
                let (stream, event, point) = match &now.state {
                    StreamState::Waiting | StreamState::Failed => continue,
                    StreamState::Flowing => (Stream::Flowing, "flowing", None),
                    StreamState::HeldAtMark { point } => {
                        (Stream::HeldAtMark, "held-at-mark", Some(point.clone()))
                    }
                    StreamState::Sealing | StreamState::Sealed => (Stream::Sealed, "sealing", None),
                };
                let at = self.app.clock.now();
                let noted = self
                    .ledger
                    .update(&launch.tenant, &launch.id, |launch| {
                        if let State::Running { stream: track, .. } = &mut launch.state {
                            *track = stream;
                        }
                        launch.note(at, event, point.clone());
                    })
                    .await;
                if let Err(error) = noted {
                    tracing::debug!(%error, "the stream's state was not noted");
                }
            }
            self.events.tell(&launch.id, "stream", progress_json(&now));
            tokio::time::sleep(TELL).await;
        }
    }

    async fn open_sink(
        &self,
        tenant: &str,
        target: &NamedTarget,
        geometry: Geometry,
        resumed: bool,
    ) -> Result<Box<dyn Sink>, SinkError> {
        let named = self
            .named_sink(tenant, &target.name)
            .ok_or_else(|| SinkError::Refused {
                target: target.name.clone(),
                found: "no such sink".into(),
                expected: "one that the operator configured".into(),
            })?;
        let file = target.file.clone();
        let existing = if resumed {
            Existing::Replace
        } else {
            Existing::Refuse
        };
        let opened = tokio::task::spawn_blocking(move || match named.open(&file)? {
            Target::File(target) => FileSink::create(target, geometry, existing)
                .map(|sink| Ok(Box::new(sink) as Box<dyn Sink>)),
            Target::Device(target) => Ok(Err(target)),
        });
        match opened.await.map_err(|_| SinkError::Cancelled)?? {
            Ok(sink) => Ok(sink),
            Err(device) => Ok(Box::new(DeviceSink::open(device, geometry).await?)),
        }
    }

    /// The operator's sink of this name, where `tenant` may use it.
    pub fn named_sink(&self, tenant: &str, name: &str) -> Option<NamedSink> {
        let sink = self.app.config.sinks.iter().find(|sink| {
            let allowed =
                sink.tenants.is_empty() || sink.tenants.iter().any(|one| one.as_str() == tenant);
            sink.name == name && allowed
        })?;
        Some(match &sink.place {
            Place::Directory(root) => NamedSink::Directory { root: root.clone() },
            Place::Devices(paths) => NamedSink::Devices {
                root: "/dev".into(),
                names: paths
                    .iter()
                    .filter_map(|path| path.strip_prefix("/dev").ok()?.to_str().map(str::to_owned))
                    .collect(),
            },
        })
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
    async fn update(
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
        let named = prepared
            .points
            .iter()
            .zip(&archives)
            .map(|(point, archive)| {
                (
                    point.point.name.clone(),
                    archive_digest(archive.archive().digests()),
                )
            });
        let ready = Ready::of(LaunchManifest::new(
            prepared.base.volume,
            prepared.layout.size,
            named.collect(),
        ));
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

/// A stream's progress as it is told.
pub fn progress_json(progress: &Progress) -> serde_json::Value {
    let (state, point) = match &progress.state {
        StreamState::Waiting => ("waiting", None),
        StreamState::Flowing => ("flowing", None),
        StreamState::HeldAtMark { point } => ("held-at-mark", Some(point)),
        StreamState::Sealing => ("sealing", None),
        StreamState::Sealed => ("sealed", None),
        StreamState::Failed => ("failed", None),
    };
    let mut told = json!({"state": state, "bytes": progress.done, "total": progress.total});
    if let Some(point) = point {
        told["point"] = json!(point);
    }
    told
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

fn sink_failed(error: &SinkError) -> State {
    let reason = match error {
        SinkError::NoSpace { .. } => Reason::NoSpace,
        SinkError::Source(BlocksError::Corrupt { .. }) => Reason::Corrupt,
        SinkError::Source(BlocksError::Changed { .. }) => Reason::Changed,
        SinkError::Source(_) => Reason::Source,
        SinkError::Archive { .. } => Reason::Generator,
        _ => Reason::Sink,
    };
    failed(reason, error.to_string(), error.is_retryable())
}
