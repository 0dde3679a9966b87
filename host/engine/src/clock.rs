//! Time: the host's as a parameter, the guest's as a fixed value.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The host's real clock. A parameter, so that tests own it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a guest sees: the job's second, standing still. Monotonic time moves by one nanosecond a look, so that loops on it end the
/// same way everywhere.
#[derive(Clone, Copy, Debug)]
pub struct WallClock(pub u64);

#[derive(Debug, Default)]
pub struct MonotonicClock(std::sync::atomic::AtomicU64);

/// The system's clock.
pub fn system_clock() -> Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the host's clock is read"
    )]
    Arc::new(SystemTime::now)
}

// === impl WallClock ===

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.0)
    }
}

// === impl MonotonicClock ===

impl HostMonotonicClock for MonotonicClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}
