//! The stream track: the volume into its sink, or to whoever reads it, and how far it is.

use std::sync::Arc;
use std::time::Duration;

use bootsplice_blocks::BlocksError;
use bootsplice_sinks::{
    DeviceSink, Existing, FileSink, Geometry, NamedSink, Progress, Sink, SinkError, StreamState,
    Target, drive,
};
use serde_json::json;

use super::failed;
use crate::config::Place;
use crate::launch::Launches;
use crate::launch::live::Live;
use crate::launch::record::{Launch, Reason, State, Stream};
use crate::launch::request::NamedTarget;

/// How often the progress of a stream is told.
const TELL: Duration = Duration::from_millis(250);

// === impl Launches ===

impl Launches {
    /// `Ok` ends the launch; `Err(None)` leaves its record to others.
    pub(super) async fn stream_track(
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
