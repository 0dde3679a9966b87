//! S3-FIFO: which values stay within a budget of bytes.
//!
//! New values enter a small queue (a tenth of the budget) and only those read again move to the main queue, so one long scan
//! cannot push out what many launches share. Unlike an admission filter it never turns a new value away, which would drop blocks read ahead
//! before their reader comes. Values leave at once, on the call that made them leave: the budget is exact.
//! Source: Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// A value read this often is worth no more than one read more often still.
const MOST_HITS: u8 = 3;

#[derive(Debug)]
pub(crate) struct Fifo<K, V> {
    budget: u64,
    entries: HashMap<K, Entry<V>>,
    small: Queue<K>,
    main: Queue<K>,
    /// Keys that lately left the small queue: coming back proves their worth.
    ghosts: VecDeque<K>,
    remembered: HashSet<K>,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: u64,
    hits: u8,
    in_main: bool,
}

#[derive(Debug)]
struct Queue<K> {
    keys: VecDeque<K>,
    weight: u64,
}

// === impl Fifo ===

impl<K: Copy + Eq + Hash, V: Clone> Fifo<K, V> {
    pub(crate) fn new(budget: u64) -> Self {
        Self {
            budget,
            entries: HashMap::new(),
            small: Queue::new(),
            main: Queue::new(),
            ghosts: VecDeque::new(),
            remembered: HashSet::new(),
        }
    }

    /// Bytes held; never above the budget.
    pub(crate) fn weight(&self) -> u64 {
        self.small.weight + self.main.weight
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        entry.hits = (entry.hits + 1).min(MOST_HITS);
        Some(entry.value.clone())
    }

    /// Keeps `value` and gives back what had to leave, which is `value` itself when it is larger than the budget.
    pub(crate) fn insert(&mut self, key: K, value: V, weight: u64) -> Vec<(K, V)> {
        let mut left = Vec::new();
        if weight > self.budget {
            left.push((key, value));
            return left;
        }
        if self.entries.contains_key(&key) {
            return left;
        }
        while self.weight() + weight > self.budget {
            match self.evict() {
                Some(pair) => left.push(pair),
                None => break,
            }
        }
        let in_main = self.remembered.remove(&key);
        self.queue(in_main).push(key, weight);
        self.entries.insert(
            key,
            Entry {
                value,
                weight,
                hits: 0,
                in_main,
            },
        );
        left
    }

    /// Forgets `key`. Walks a queue: for faults, not for the common path.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        let queue = self.queue(entry.in_main);
        queue.keys.retain(|other| other != key);
        queue.weight -= entry.weight;
        Some(entry.value)
    }

    fn queue(&mut self, main: bool) -> &mut Queue<K> {
        if main {
            &mut self.main
        } else {
            &mut self.small
        }
    }

    fn evict(&mut self) -> Option<(K, V)> {
        loop {
            let from_main = self.small.weight <= self.budget / 10 && !self.main.keys.is_empty();
            let key = self.queue(from_main).keys.pop_front().or_else(|| {
                self.small.keys.pop_front() // both empty: nothing is held
            })?;
            let entry = self.entries.get_mut(&key)?;
            let (weight, hits) = (entry.weight, entry.hits);
            self.queue(from_main).weight -= weight;
            if hits == 0 {
                if !from_main {
                    self.remember(key);
                }
                return self.entries.remove(&key).map(|entry| (key, entry.value));
            }
            let entry = self.entries.get_mut(&key)?;
            entry.hits = if from_main { hits - 1 } else { 0 };
            entry.in_main = true;
            self.main.push(key, weight);
        }
    }

    fn remember(&mut self, key: K) {
        if self.remembered.insert(key) {
            self.ghosts.push_back(key);
        }
        while self.ghosts.len() > self.entries.len() {
            if let Some(oldest) = self.ghosts.pop_front() {
                self.remembered.remove(&oldest);
            }
        }
    }
}

// === impl Queue ===

impl<K> Queue<K> {
    fn new() -> Self {
        Self {
            keys: VecDeque::new(),
            weight: 0,
        }
    }

    fn push(&mut self, key: K, weight: u64) {
        self.keys.push_back(key);
        self.weight += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_read_again_survives_a_scan() {
        let mut fifo = Fifo::new(100);
        for key in 0..50 {
            fifo.insert(key, key, 1);
            fifo.get(&key);
        }
        for key in 1000..5000 {
            fifo.insert(key, key, 1);
        }
        let kept = (0..50).filter(|key| fifo.contains(key)).count();
        assert!(kept >= 45, "{kept} of 50 shared values survived a scan");
    }

    #[test]
    fn a_new_value_is_never_turned_away() {
        let mut fifo = Fifo::new(10);
        for key in 0..100 {
            fifo.insert(key, (), 1);
            fifo.get(&key);
            fifo.get(&key);
        }
        fifo.insert(1000, (), 1);
        assert!(fifo.contains(&1000));
    }

    #[test]
    fn a_value_larger_than_the_budget_goes_straight_back() {
        let mut fifo = Fifo::new(10);
        fifo.insert(1, 'a', 5);
        assert_eq!(fifo.insert(2, 'b', 11), [(2, 'b')]);
        assert!(fifo.contains(&1));
    }

    proptest! {
        #[test]
        fn the_budget_is_exact_and_nothing_is_lost_unsaid(
            calls in prop::collection::vec((0u8..3, 0u16..64, 1u64..20), 0..400)
        ) {
            let mut fifo = Fifo::new(100);
            let mut held = HashMap::new();
            for (call, key, weight) in calls {
                match call {
                    0 => prop_assert_eq!(fifo.get(&key), held.get(&key).copied()),
                    1 => {
                        let fresh = !held.contains_key(&key);
                        if fresh { held.insert(key, weight); }
                        for (gone, _) in fifo.insert(key, weight, weight) { held.remove(&gone); }
                    }
                    _ => prop_assert_eq!(fifo.remove(&key), held.remove(&key)),
                }
                prop_assert!(fifo.weight() <= 100);
                prop_assert_eq!(fifo.weight(), held.values().sum::<u64>());
                prop_assert!(fifo.ghosts.len() <= 64 && fifo.ghosts.len() >= fifo.remembered.len());
            }
        }
    }
}
