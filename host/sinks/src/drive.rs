//! One loop for every sink: read in load order, a bounded window ahead, wait at marks, seal.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::order::LoadOrder;
use crate::progress::{Held, Progress, StreamState};
use crate::reader::VolumeReader;
use crate::sink::Sink;
use crate::{Result, SinkError};

/// Blocks that one stream may have between the cache and its sink.
const WINDOW: usize = 16;

/// Streams the volume into `sink` and commits it; on the first error, or when `cancel` fires, aborts it.
///
/// The stream waits at a point's mark only when it gets there before the archive; by then all blocks before the mark are with the sink. From the moment the last
/// block is there it can no longer be cancelled: a sink that may hold the whole volume is asked until it says so. When this future is dropped instead,
/// drop the sink too.
pub async fn drive(
    reader: &VolumeReader,
    order: &LoadOrder,
    sink: &dyn Sink,
    progress: &watch::Sender<Progress>,
    cancel: &CancellationToken,
) -> Result<()> {
    let report = |state: StreamState| progress.send_modify(|progress| progress.state = state);
    progress.send_modify(|progress| progress.total = reader.geometry().size);
    let streamed = match check(reader, sink) {
        Err(error) => Err(error),
        Ok(()) => tokio::select! {
            biased;
            () = cancel.cancelled() => Err(SinkError::Cancelled),
            result = stream(reader, order, sink, progress) => result,
        },
    };
    let result = match streamed {
        Ok(()) => {
            report(StreamState::Sealing);
            sink.commit().await
        }
        Err(error) => Err(error),
    };
    match &result {
        Ok(()) => report(StreamState::Sealed),
        Err(error) => {
            tracing::warn!(%error, "the stream ended; its sink is aborted");
            sink.abort().await;
            report(StreamState::Failed);
        }
    }
    result
}

fn check(reader: &VolumeReader, sink: &dyn Sink) -> Result<()> {
    let (volume, place) = (reader.geometry(), sink.caps().geometry);
    if volume == place {
        return Ok(());
    }
    Err(SinkError::Misuse {
        target: "sink".into(),
        call: "drive",
        reason: format!("a volume of {volume:?} for a sink of {place:?}"),
    })
}

async fn stream(
    reader: &VolumeReader,
    order: &LoadOrder,
    sink: &dyn Sink,
    progress: &watch::Sender<Progress>,
) -> Result<()> {
    let caps = sink.caps();
    let calls = Arc::new(Semaphore::new(caps.max_in_flight.max(1)));
    let mut window: FuturesUnordered<BoxFuture<'_, Result<u64>>> = FuturesUnordered::new();
    let arrived = |bytes| progress.send_modify(|progress| progress.done += bytes);
    progress.send_modify(|progress| progress.state = StreamState::Flowing);
    for run in order.runs() {
        let mut at = run.start;
        while at < run.end {
            if let Some(slot) = reader.slot_at(at)
                && slot.get().is_none()
            {
                while let Some(bytes) = window.next().await {
                    arrived(bytes?);
                }
                let point = slot.point().to_owned();
                let reached = Instant::now();
                let state = StreamState::HeldAtMark {
                    point: point.clone(),
                };
                progress.send_modify(|progress| progress.state = state);
                let ready = slot.ready().await;
                let time = reached.elapsed();
                progress.send_modify(|progress| {
                    progress.held.push(Held { point, time });
                    progress.state = StreamState::Flowing;
                });
                ready?;
            }
            let zeros = reader.zeros(at, run.end - at).await?;
            let blocks = at..at + zeros.max(1);
            at = blocks.end;
            let calls = calls.clone();
            window.push(Box::pin(async move {
                let bytes = caps.geometry.bytes(&blocks);
                let chunk = match zeros {
                    0 => reader.block(blocks.start).await?,
                    _ => None,
                };
                let _call = calls
                    .acquire()
                    .await
                    .expect("the semaphore is never closed");
                match chunk {
                    Some(chunk) => sink.put(blocks.start, chunk).await?,
                    None => sink.zero(blocks).await?,
                }
                Ok(bytes.end - bytes.start)
            }));
            while window.len() >= WINDOW {
                if let Some(bytes) = window.next().await {
                    arrived(bytes?);
                }
            }
        }
    }
    while let Some(bytes) = window.next().await {
        arrived(bytes?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
