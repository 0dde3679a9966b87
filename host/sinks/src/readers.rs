//! What the readers of one volume over HTTP know together: how far they came, where they wait, and what ended them.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::SinkError;
use crate::progress::{Held, Progress, StreamState};

/// Shared by all bodies of one volume. Cheap to clone.
///
/// The progress is that of a sink: `done` counts from the volume's first byte, so a range read somewhere in the middle moves it only when it
/// begins where others came to. The stream is held at a mark from the first reader that waits there until the last one goes on or away.
#[derive(Clone)]
pub struct Readers(Arc<Inner>);

struct Inner {
    progress: watch::Sender<Progress>,
    waiting: Mutex<Waiting>,
    failure: watch::Sender<Option<Arc<SinkError>>>,
}

/// Who waits at a mark.
#[derive(Default)]
struct Waiting {
    readers: usize,
    since: Option<Instant>,
}

/// One reader's wait at a mark. It ends with this value.
pub(crate) struct Wait {
    readers: Readers,
    point: String,
}

// === impl Readers ===

impl Readers {
    /// Readers of a volume of `total` bytes; nobody has read yet.
    pub fn new(total: u64) -> Self {
        Self(Arc::new(Inner {
            progress: watch::Sender::new(Progress {
                total,
                ..Progress::default()
            }),
            waiting: Mutex::default(),
            failure: watch::Sender::new(None),
        }))
    }

    /// How far they are. A stream into a sink reports here too.
    pub fn progress(&self) -> &watch::Sender<Progress> {
        &self.0.progress
    }

    /// Waits for a failure that no second read mends. A transient one is its reader's own: the client may come again.
    pub async fn failure(&self) -> Arc<SinkError> {
        let mut failure = self.0.failure.subscribe();
        let settled = failure.wait_for(Option::is_some).await;
        let error = settled.ok().and_then(|error| error.clone());
        match error {
            Some(error) => error,
            // The sender lives as long as this value does.
            None => std::future::pending().await,
        }
    }

    /// A reader was handed the bytes `from..to`.
    pub(crate) fn came(&self, from: u64, to: u64) {
        self.0.progress.send_if_modified(|progress| {
            if !(from <= progress.done && progress.done < to) {
                return false;
            }
            progress.done = to;
            if progress.state == StreamState::Waiting {
                progress.state = StreamState::Flowing;
            }
            true
        });
    }

    /// A reader came to the mark of `point` before its archive.
    pub(crate) fn wait(&self, point: &str) -> Wait {
        let mut waiting = self.0.waiting.lock();
        waiting.readers += 1;
        if waiting.since.is_none() {
            waiting.since = Some(Instant::now());
            let state = StreamState::HeldAtMark {
                point: point.to_owned(),
            };
            self.0
                .progress
                .send_modify(|progress| progress.state = state);
        }
        Wait {
            readers: self.clone(),
            point: point.to_owned(),
        }
    }

    /// A read of the volume failed.
    pub fn failed(&self, error: &Arc<SinkError>) {
        if error.is_retryable() {
            return;
        }
        self.0.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| error.clone());
            first
        });
    }
}

// === impl Wait ===

impl Drop for Wait {
    fn drop(&mut self) {
        let inner = &self.readers.0;
        let mut waiting = inner.waiting.lock();
        waiting.readers -= 1;
        if waiting.readers == 0
            && let Some(since) = waiting.since.take()
        {
            let held = Held {
                point: std::mem::take(&mut self.point),
                time: since.elapsed(),
            };
            inner.progress.send_modify(|progress| {
                progress.held.push(held);
                progress.state = StreamState::Flowing;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(readers: &Readers) -> (u64, StreamState) {
        let progress = readers.progress().borrow();
        (progress.done, progress.state.clone())
    }

    #[test]
    fn only_reads_that_join_on_count() {
        let readers = Readers::new(100);
        assert_eq!(look(&readers), (0, StreamState::Waiting));
        readers.came(0, 40);
        readers.came(0, 10);
        readers.came(60, 100);
        assert_eq!(look(&readers), (40, StreamState::Flowing));
        readers.came(30, 50);
        readers.came(50, 100);
        assert_eq!(look(&readers), (100, StreamState::Flowing));
    }

    #[test]
    fn the_stream_is_held_from_the_first_that_waits_to_the_last() {
        let readers = Readers::new(100);
        let held = StreamState::HeldAtMark { point: "p0".into() };
        let one = readers.wait("p0");
        let two = readers.wait("p0");
        assert_eq!(look(&readers).1, held);
        drop(one);
        assert_eq!(look(&readers).1, held);
        drop(two);
        assert_eq!(look(&readers).1, StreamState::Flowing);
        assert_eq!(readers.progress().borrow().held.len(), 1);
    }
}
