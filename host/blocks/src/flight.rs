//! Single-flight: of all readers that want one digest at a time, one reads and the others wait.
//!
//! The read runs in a task of its own, so a reader that stalls or goes away holds up nobody. If that task dies, its [`Claim`]
//! is dropped, the waiters wake, and the first of them takes over.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bootsplice_content::{Chunk, Digest};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::BlocksError;

/// The reads now under way, by digest.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<Digest, watch::Receiver<Outcome>>>,
}

/// The duty to read one digest. Dropped unfulfilled, it passes to a waiter.
#[derive(Debug)]
pub(crate) struct Claim {
    digest: Digest,
    flights: Arc<Flights>,
    outcome: watch::Sender<Outcome>,
}

/// A reader's view of a read under way.
#[derive(Debug)]
pub(crate) struct Wait(watch::Receiver<Outcome>);

/// What [`Flights::join`] gives.
#[derive(Debug)]
pub(crate) enum Ticket {
    /// Nobody reads this digest: the caller must.
    Lead(Claim, Wait),
    /// Somebody reads it.
    Follow(Wait),
}

#[derive(Clone, Debug)]
enum Outcome {
    Open,
    Landed(Chunk),
    Failed(BlocksError),
}

// === impl Flights ===

impl Flights {
    pub(crate) fn join(self: &Arc<Self>, digest: Digest) -> Ticket {
        match self.under_way.lock().entry(digest) {
            Entry::Occupied(entry) => Ticket::Follow(Wait(entry.get().clone())),
            Entry::Vacant(entry) => {
                let (sender, receiver) = watch::channel(Outcome::Open);
                entry.insert(receiver.clone());
                let claim = Claim {
                    digest,
                    flights: self.clone(),
                    outcome: sender,
                };
                Ticket::Lead(claim, Wait(receiver))
            }
        }
    }

    /// The duty to read `digest` when nobody has it yet: for reading ahead.
    pub(crate) fn claim(self: &Arc<Self>, digest: Digest) -> Option<Claim> {
        match self.join(digest) {
            Ticket::Lead(claim, _) => Some(claim),
            Ticket::Follow(_) => None,
        }
    }
}

// === impl Claim ===

impl Claim {
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    /// Gives the chunk to all who wait. It must be in the cache already, or the next reader would read it again.
    pub(crate) fn land(self, chunk: Chunk) {
        self.outcome.send_replace(Outcome::Landed(chunk));
    }

    pub(crate) fn fail(self, error: BlocksError) {
        self.outcome.send_replace(Outcome::Failed(error));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Off the table first: a waiter that wakes to a closed channel joins anew and must find the place free.
        self.flights.under_way.lock().remove(&self.digest);
    }
}

// === impl Wait ===

impl Wait {
    /// The outcome, or `None` when the reading task died and the caller should join again.
    pub(crate) async fn outcome(mut self) -> Option<Result<Chunk, BlocksError>> {
        let settled = self
            .0
            .wait_for(|outcome| !matches!(outcome, Outcome::Open))
            .await;
        match settled.as_deref() {
            Ok(Outcome::Landed(chunk)) => Some(Ok(chunk.clone())),
            Ok(Outcome::Failed(error)) => Some(Err(error.clone())),
            Ok(Outcome::Open) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk() -> Chunk {
        Chunk::of(bytes::Bytes::from_static(b"block"))
    }

    #[tokio::test]
    async fn a_dropped_claim_passes_to_a_waiter() {
        let flights = Arc::new(Flights::default());
        let digest = chunk().digest();
        let Ticket::Lead(claim, own) = flights.join(digest) else {
            panic!("first to come leads")
        };
        let Ticket::Follow(wait) = flights.join(digest) else {
            panic!("second to come follows")
        };
        drop((claim, own));
        assert!(wait.outcome().await.is_none(), "told to join again");
        let Ticket::Lead(claim, wait) = flights.join(digest) else {
            panic!("the waiter leads now")
        };
        claim.land(chunk());
        assert_eq!(wait.outcome().await.unwrap().unwrap().digest(), digest);
        assert!(flights.under_way.lock().is_empty());
    }

    #[tokio::test]
    async fn all_who_wait_get_the_chunk_or_the_failure() {
        let flights = Arc::new(Flights::default());
        let digest = chunk().digest();
        for failure in [None, Some(BlocksError::Missing { object: "x".into() })] {
            let claim = flights.claim(digest).unwrap();
            let waits: Vec<_> = (0..8)
                .map(|_| match flights.join(digest) {
                    Ticket::Follow(wait) => wait,
                    Ticket::Lead(..) => panic!("claimed already"),
                })
                .collect();
            match failure.clone() {
                None => claim.land(chunk()),
                Some(error) => claim.fail(error),
            }
            for wait in waits {
                assert_eq!(wait.outcome().await.unwrap().is_err(), failure.is_some());
            }
        }
    }
}
