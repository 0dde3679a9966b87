//! Time and randomness as parameters, so that tests can own them.

use std::fmt;
use std::sync::Arc;

use rand::TryRng as _;
use time::OffsetDateTime;
use ulid::Ulid;

/// Where the host reads the time. Every date in a record, every expiry and every deadline comes from here.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, in UTC.
    fn now(&self) -> OffsetDateTime;
}

/// Where the host gets bytes that nobody can guess: tokens, nonces, key material.
pub trait Entropy: Send + Sync + fmt::Debug {
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// The kernel's random source.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<parking_lot::Mutex<OffsetDateTime>>,
}

// === impl SystemClock ===

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one clock that everything else is given"
        )]
        OffsetDateTime::now_utc()
    }
}

// === impl SystemEntropy ===

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rngs::SysRng
            .try_fill_bytes(bytes)
            .expect("getrandom(2) does not fail on any kernel that bootsplice runs on");
    }
}

// === impl dyn Entropy ===

impl dyn Entropy + '_ {
    /// `N` fresh bytes.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A new id that sorts by the time it was made.
    pub fn ulid(&self, clock: &dyn Clock) -> Ulid {
        let milliseconds = clock.now().unix_timestamp_nanos() / 1_000_000;
        let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
        Ulid::from_parts(milliseconds, u128::from_le_bytes(self.array()))
    }
}

// === impl ManualClock ===

impl ManualClock {
    pub fn at(now: OffsetDateTime) -> Self {
        Self {
            now: Arc::new(parking_lot::Mutex::new(now)),
        }
    }

    pub fn advance(&self, by: std::time::Duration) {
        *self.now.lock() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        *self.now.lock()
    }
}
