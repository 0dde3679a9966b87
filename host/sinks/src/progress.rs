//! How far a stream is: cheap to send, so every block can.

use std::time::Duration;

/// A stream at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub state: StreamState,
    /// Bytes of the volume that the sink took, zero runs included.
    pub done: u64,
    /// Bytes of the volume.
    pub total: u64,
    /// Points whose archive was not ready when the stream reached their mark, and how long each held it, in order.
    pub held: Vec<Held>,
}

/// The stream's track of a launch (rule 30).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StreamState {
    /// Nothing sent yet.
    #[default]
    Waiting,
    Flowing,
    /// Everything before this point's mark has gone; its archive is not ready.
    HeldAtMark {
        point: String,
    },
    /// All blocks are with the sink, which is making them durable.
    Sealing,
    /// The sink acknowledged all of it.
    Sealed,
    /// The sink was aborted.
    Failed,
}

/// One wait at a mark.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub point: String,
    pub time: Duration,
}

// === impl Progress ===

impl Progress {
    /// All time spent at marks.
    pub fn held_time(&self) -> Duration {
        self.held.iter().map(|held| held.time).sum()
    }
}
