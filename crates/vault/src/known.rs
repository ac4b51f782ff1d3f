//! What is remembered of the vault: entries that are durable already, and keys of subjects that came lately.
//! Always: bounded, in two halves of which the older one goes when the newer is full; what is wrongly forgotten costs a
//! look at the disk and nothing else. Keys are wiped when they go.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    mem,
    sync::{Mutex, PoisonError},
};

use crate::{subject::SubjectId, token::TokenText};

/// Entries remembered in each half of a part: 2 × 16 × 16,384 of them, some 16 MiB.
const KNOWN_PER_HALF: usize = 16 * 1024;
const PARTS: usize = 16;

/// A map that forgets what did not come for long.
pub(crate) struct Halves<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
    half_max: usize,
}

impl<K: Hash + Eq + Copy, V> Halves<K, V> {
    pub fn new(half_max: usize) -> Halves<K, V> {
        Halves { newer: HashMap::new(), older: HashMap::new(), half_max }
    }

    pub fn get(&mut self, key: &K) -> Option<&V> {
        if !self.newer.contains_key(key)
            && let Some(value) = self.older.remove(key)
        {
            self.insert(*key, value);
        }
        self.newer.get(key)
    }

    pub fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= self.half_max {
            self.older = mem::take(&mut self.newer);
        }
        self.newer.insert(key, value);
    }

    pub fn clear(&mut self) {
        self.newer = HashMap::new();
        self.older = HashMap::new();
    }
}

/// Stands for one (domain, token, subject); keyed anew in each process, so that nobody can make two alike.
pub(crate) type Fingerprint = (u64, u64);

/// The entries that are known to be durable.
pub(crate) struct Known {
    keys: (RandomState, RandomState),
    // Std mutexes: held for one look or one insertion.
    parts: [Mutex<Halves<Fingerprint, ()>>; PARTS],
}

impl Known {
    pub fn new() -> Known {
        Known {
            keys: (RandomState::new(), RandomState::new()),
            parts: std::array::from_fn(|_| Mutex::new(Halves::new(KNOWN_PER_HALF))),
        }
    }

    pub fn fingerprint(&self, domain: &str, token: &TokenText, subject: &SubjectId) -> Fingerprint {
        let entry = (domain, token.as_str(), subject);
        (self.keys.0.hash_one(entry), self.keys.1.hash_one(entry))
    }

    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.part(fingerprint).get(&fingerprint).is_some()
    }

    pub fn insert(&self, fingerprint: Fingerprint) {
        self.part(fingerprint).insert(fingerprint, ());
    }

    pub fn clear(&self) {
        for part in &self.parts {
            part.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn part(&self, fingerprint: Fingerprint) -> std::sync::MutexGuard<'_, Halves<Fingerprint, ()>> {
        self.parts[fingerprint.1 as usize % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_lately_is_remembered_and_the_rest_is_bounded() {
        let mut halves = Halves::new(10);
        for n in 0..1000u32 {
            halves.insert(n, n);
            assert_eq!(halves.get(&0).copied().is_some(), n < 1000, "what is asked for stays");
            assert!(halves.newer.len() + halves.older.len() <= 20);
        }
        assert!(halves.get(&999).is_some() && halves.get(&500).is_none());
        halves.clear();
        assert!(halves.get(&999).is_none());
    }
}
