//! Signatures that were found good. A check is pure, its arithmetic dear, and a distribution's key vouches for its subkeys with the same bytes in
//! every call; so what was good once is known by the digest of everything that the check depends on. Times and revocations are judged anew.

use std::collections::HashSet;
use std::sync::LazyLock;

use bootsplice_content::{Digest, Hasher};
use parking_lot::Mutex;
use pgp::ser::Serialize;

/// Checks that are remembered: twice as many at most, about 64 bytes each.
const MOST: usize = 4096;

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// Two generations: the older one goes when the younger is full.
#[derive(Default)]
struct Known {
    young: HashSet<Digest>,
    old: HashSet<Digest>,
}

/// What a check depends on, gathered. None: a part of it could not be written, so nothing is remembered.
pub struct Check(Option<Hasher>);

// === impl Known ===

impl Known {
    fn has(&self, name: &Digest) -> bool {
        self.young.contains(name) || self.old.contains(name)
    }

    fn add(&mut self, name: Digest) {
        if self.young.len() >= MOST {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(name);
    }
}

// === impl Check ===

impl Check {
    /// `kind` tells checks of the same parts apart.
    pub fn new(kind: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(kind.as_bytes());
        Self(Some(hasher))
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        if let Some(hasher) = &mut self.0 {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        self
    }

    pub fn part(self, part: &impl Serialize) -> Self {
        let mut bytes = Vec::with_capacity(part.write_len());
        match part.to_writer(&mut bytes) {
            Ok(()) => self.bytes(&bytes),
            Err(_) => Self(None),
        }
    }

    /// Whether the check holds: `check` is asked unless it did before.
    pub fn holds(self, check: impl FnOnce() -> bool) -> bool {
        let Some(name) = self.0.map(Hasher::finish) else {
            return check();
        };
        if KNOWN.lock().has(&name) {
            return true;
        }
        let good = check();
        if good {
            KNOWN.lock().add(name);
        }
        good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_check_is_made_once_and_a_bad_one_again() {
        let asked = std::cell::Cell::new(0);
        let holds = |text: &str, good: bool| {
            Check::new("test").bytes(text.as_bytes()).holds(|| {
                asked.set(asked.get() + 1);
                good
            })
        };
        assert!(!holds("a", false) && !holds("a", false));
        assert_eq!(asked.get(), 2);
        assert!(holds("a", true) && holds("a", true) && holds("a", false));
        assert_eq!(asked.get(), 3);
        assert!(!holds("b", false), "other bytes are another check");
        let parts = |one: &str, two: &str| {
            Check::new("test")
                .bytes(one.as_bytes())
                .bytes(two.as_bytes())
        };
        assert!(parts("ab", "c").holds(|| true));
        assert!(
            !parts("a", "bc").holds(|| false),
            "parts do not run together"
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut known = Known::default();
        for number in 0..3 * MOST {
            known.add(Digest::of(&number.to_le_bytes()));
        }
        assert!(known.young.len() + known.old.len() <= 2 * MOST);
        assert!(known.has(&Digest::of(&(3 * MOST - 1).to_le_bytes())));
    }
}
