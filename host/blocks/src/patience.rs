//! How long and how often an origin is asked again.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Limits on one read of an origin, its repetitions included.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Attempts, the first included.
    pub attempts: u32,
    /// Time for one request, body included. Also what a stalled origin costs.
    pub request: Duration,
    /// Time for all attempts and the pauses between them.
    pub total: Duration,
    /// The pause before the second attempt; it doubles, up to `longest_pause`.
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

/// Retries that all reads of one origin share: ten a second, plus one for every ten requests that succeeded. So an origin in trouble is
/// asked little more than a healthy one, however many launches wait for it (a retry budget, not a retry count).
#[derive(Debug)]
pub(crate) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Tenths of a retry.
    tenths: f64,
    refilled: Instant,
}

const MOST_TENTHS: f64 = 1000.0;
const TENTHS_A_SECOND: f64 = 100.0;

// === impl Patience ===

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 6,
            request: Duration::from_secs(30),
            total: Duration::from_secs(90),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl Patience {
    /// The pause after attempt `number` (from 1). `salt` spreads readers apart without randomness: same read, same pause.
    pub(crate) fn pause(&self, number: u32, salt: u64) -> Duration {
        let doubled = self
            .first_pause
            .saturating_mul(1 << (number - 1).min(16))
            .min(self.longest_pause);
        let spread = salt
            .wrapping_add(u64::from(number))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            >> 56;
        // Between a half and the whole.
        doubled / 2 + doubled.mul_f64(spread as f64 / 512.0)
    }
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                tenths: MOST_TENTHS,
                refilled: Instant::now(),
            }),
        }
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        state.tenths = (state.tenths + 1.0).min(MOST_TENTHS);
    }

    /// Takes one retry, when there is one.
    pub(crate) fn take(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let earned = now.duration_since(state.refilled).as_secs_f64() * TENTHS_A_SECOND;
        state.tenths = (state.tenths + earned).min(MOST_TENTHS);
        state.refilled = now;
        let enough = state.tenths >= 10.0;
        if enough {
            state.tenths -= 10.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_budget_runs_dry_and_refills_with_time_and_success() {
        let budget = Budget::new();
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 100);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 10);
        (0..20).for_each(|_| budget.succeeded());
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 2);
    }

    #[test]
    fn pauses_double_are_spread_and_bounded() {
        let patience = Patience::default();
        for number in 1..40 {
            for salt in 0..50 {
                let pause = patience.pause(number, salt);
                assert!(pause <= patience.longest_pause && pause >= patience.first_pause / 2);
            }
        }
        assert_ne!(patience.pause(3, 1), patience.pause(3, 2));
    }
}
