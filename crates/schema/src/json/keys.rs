//! Which keys an object has named already, for objects whose keys no schema lists.
//! Always: exact; and finding out costs the same whether an object has three keys or a million, so that nobody can
//! make it slow. The hash is keyed at random, which changes no answer.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use hw_event::RejectCode;

use super::{JsonFault, Text, unescape};

/// Up to this many keys a document are compared one by one; then a table takes over.
const LINEAR_MAX: usize = 16;
/// What one huge document has grown is given back after it.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// The keys of all objects of one document.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    objects: u32,
    keys: Vec<Key>,
    /// What the keys say, end to end.
    arena: Vec<u8>,
    /// The newest key of each hash; empty while there are few.
    table: HashMap<u64, usize>,
    hasher: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Key {
    object: u32,
    start: usize,
    end: usize,
    /// The key before this one with the same hash.
    older: Option<usize>,
}

impl KeySet {
    /// Forgets the document and keeps the room.
    #[inline]
    pub fn clear(&mut self) {
        self.objects = 0;
        if self.keys.is_empty() {
            return;
        }
        self.keys.clear();
        self.arena.clear();
        self.table.clear();
        if self.arena.capacity() > KEPT_BYTES_MAX || self.table.capacity() > KEPT_BYTES_MAX / 16 {
            *self = KeySet::default();
        }
    }

    /// Starts an object; the number tells its keys apart from those of others.
    pub fn object(&mut self) -> u32 {
        self.objects += 1;
        self.objects
    }

    /// Adds `key`, which stands at byte `at`, to `object`.
    pub fn insert(&mut self, object: u32, key: Text<'_>, at: usize) -> Result<(), JsonFault> {
        let start = self.arena.len();
        if key.escaped {
            unescape(key.raw, &mut self.arena);
        } else {
            self.arena.extend_from_slice(key.raw);
        }
        let new = Key { object, start, end: self.arena.len(), older: None };
        let repeated = if self.keys.len() < LINEAR_MAX {
            self.keys.iter().any(|old| self.same(old, &new))
        } else {
            if self.table.is_empty() {
                for index in 0..self.keys.len() {
                    self.enter(index);
                }
            }
            let mut older = self.table.get(&self.hash(&new)).copied();
            loop {
                match older {
                    None => break false,
                    Some(index) if self.same(&self.keys[index], &new) => break true,
                    Some(index) => older = self.keys[index].older,
                }
            }
        };
        if repeated {
            let code = RejectCode::JsonRepeatedKey;
            return Err(JsonFault { code, at, message: "an object names this key twice" });
        }
        self.keys.push(new);
        if !self.table.is_empty() {
            self.enter(self.keys.len() - 1);
        }
        Ok(())
    }

    fn enter(&mut self, index: usize) {
        let hash = self.hash(&self.keys[index]);
        self.keys[index].older = self.table.insert(hash, index);
    }

    fn hash(&self, key: &Key) -> u64 {
        self.hasher.hash_one((key.object, &self.arena[key.start..key.end]))
    }

    fn same(&self, a: &Key, b: &Key) -> bool {
        a.object == b.object && self.arena[a.start..a.end] == self.arena[b.start..b.end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(raw: &str) -> Text<'_> {
        Text { raw: raw.as_bytes(), escaped: raw.contains('\\') }
    }

    #[test]
    fn a_key_is_repeated_only_within_its_object() {
        // Below and above the bound where the table takes over.
        for others in [0, LINEAR_MAX * 3] {
            let mut keys = KeySet::default();
            for round in 0..2 {
                keys.clear();
                let (first, second) = (keys.object(), keys.object());
                for n in 0..others {
                    assert!(keys.insert(first, text(&format!("k{n}")), 0).is_ok(), "round {round}");
                }
                assert!(keys.insert(first, text("a"), 1).is_ok());
                assert!(keys.insert(second, text("a"), 2).is_ok());
                let fault = keys.insert(first, text("\\u0061"), 3).unwrap_err();
                assert_eq!((fault.code, fault.at), (RejectCode::JsonRepeatedKey, 3));
            }
        }
    }
}
