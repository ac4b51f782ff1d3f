//! The highest offset of each key, for one part of all keys after the other.
//! Always: no more keys are remembered than the bound; where there are more, the part becomes half as large, and what falls out
//! of it belongs to a later one. Every key is in exactly one part.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

pub(super) struct Newest {
    of: HashMap<u128, Last, BuildHasherDefault<Lower>>,
    /// The part: digests whose upper half is in it, both ends included.
    from: u64,
    to: u64,
    keys_max: usize,
}

#[derive(Clone, Copy)]
struct Last {
    offset: i64,
    /// It says that its key has none.
    deleted: bool,
    /// No other row of its key was seen.
    alone: bool,
}

impl Newest {
    pub(super) fn new(keys_max: usize) -> Newest {
        Newest { of: HashMap::default(), from: 0, to: u64::MAX, keys_max: keys_max.max(1) }
    }

    pub(super) fn note(&mut self, key: u128, offset: i64, deleted: bool) {
        if !(self.from..=self.to).contains(&upper(key)) {
            return;
        }
        match self.of.get_mut(&key) {
            Some(last) => {
                last.alone = false;
                if offset > last.offset {
                    (last.offset, last.deleted) = (offset, deleted);
                }
            }
            None => {
                // Before it is there: one more than fit would double the table.
                while self.of.len() >= self.keys_max && upper(key) <= self.to && self.from < self.to {
                    self.to = self.from + (self.to - self.from) / 2;
                    let to = self.to;
                    self.of.retain(|key, _| upper(*key) <= to);
                }
                if upper(key) <= self.to {
                    self.of.insert(key, Last { offset, deleted, alone: true });
                }
            }
        }
    }

    /// Of a row that was noted: it is not its key's last, or it is a deletion mark with nothing left to delete.
    pub(super) fn goes(&self, key: u128, offset: i64) -> bool {
        // What lies in another part is not known here.
        self.of.get(&key).is_some_and(|last| offset < last.offset || (last.deleted && last.alone))
    }

    /// `false`: that was the last.
    pub(super) fn next_part(&mut self) -> bool {
        // One that was far from full has made itself too small.
        let wider = u64::from(self.of.len() < self.keys_max / 2);
        let width = (self.to - self.from).saturating_mul(1 + wider);
        self.of.clear();
        let Some(from) = self.to.checked_add(1) else { return false };
        (self.from, self.to) = (from, from.saturating_add(width));
        true
    }
}

fn upper(key: u128) -> u64 {
    (key >> 64) as u64
}

/// Digests are random as they are; their upper half is alike within a part.
#[derive(Default)]
struct Lower(u64);

impl Hasher for Lower {
    fn write(&mut self, bytes: &[u8]) {
        // Only `u128` is hashed; whatever else comes must not be one value.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: u64) -> u128 {
        // Odd factors spread; the upper half decides the part.
        (u128::from(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 64) | u128::from(key)
    }

    #[test]
    fn however_few_keys_fit_each_is_judged_once() {
        const KEYS: i64 = 200;
        // In no order: what is forgotten at the wrong time does not come again.
        let offsets = || (0..3 * KEYS).map(|step| step * 7919 % (3 * KEYS));
        let key = |offset: i64| digest((offset % KEYS) as u64);
        for keys_max in [1, 7, 60, 5000] {
            let mut newest = Newest::new(keys_max);
            let (mut gone, mut stayed, mut parts) = (Vec::new(), 0, 0);
            loop {
                for offset in offsets() {
                    newest.note(key(offset), offset, false);
                }
                assert!(newest.of.len() <= keys_max);
                stayed += newest.of.len();
                gone.extend(offsets().filter(|offset| newest.goes(key(*offset), *offset)));
                parts += 1;
                if !newest.next_part() {
                    break;
                }
            }
            gone.sort_unstable();
            assert_eq!(gone, (0..2 * KEYS).collect::<Vec<_>>(), "{keys_max}");
            assert_eq!((stayed, parts > 1), (KEYS as usize, keys_max < KEYS as usize), "{keys_max}");
        }
    }

    #[test]
    fn a_deletion_mark_waits_for_what_it_deletes() {
        let mut newest = Newest::new(9);
        newest.note(1, 5, false);
        newest.note(1, 9, true);
        newest.note(2, 7, true);
        newest.note(3, 8, true);
        newest.note(3, 11, false);
        assert!(newest.goes(1, 5) && !newest.goes(1, 9), "the mark is the last, and not alone");
        assert!(newest.goes(2, 7));
        assert!(newest.goes(3, 8) && !newest.goes(3, 11), "the key is back");
    }
}
