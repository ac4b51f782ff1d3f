//! Digests with a memory: a value that comes again is not hashed again.
//! Always: what it gives is what `HashKey::digest` gives; what it remembers, values and digests, is in memory alone, bounded
//! for each and for all of them together, and wiped when it is dropped or outgrown.

use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroize;

use crate::hash::{DIGEST_BYTES, DIGEST_CHARS, HashKey, hex_digest};

/// Longer texts are hashed each time.
const TEXT_BYTES_MAX: usize = ENTRY_BYTES - DIGEST_BYTES - 1;
/// One cache line: the text, filled up with zeros, its length, its digest.
const ENTRY_BYTES: usize = 64;
/// Entries that are looked at for one text.
const WAYS: usize = 8;
const SETS_MIN: usize = 32;
/// 4,096 entries, 264 KiB: what stays near the processor. A larger one costs more to look into than a digest to make.
const SETS_MAX: usize = 512;
/// All of them together may take this much; beyond it none grows.
const BYTES_MAX: usize = 8 * 1024 * 1024;

static BYTES: AtomicUsize = AtomicUsize::new(0);

/// The digests of one key's values, for one thread at a time.
pub struct Digests {
    key: HashKey,
    table: Table,
    /// Entries made since the table has its size.
    made: usize,
}

/// Sets of `WAYS` entries; empty until it is first used.
#[derive(Default)]
struct Table {
    /// Of each entry sixteen bits of its hash, zero where there is none.
    tags: Vec<[u16; WAYS]>,
    entries: Vec<[u8; ENTRY_BYTES]>,
    /// Where the next entry goes in a full set.
    turn: usize,
}

impl Digests {
    pub fn new(key: HashKey) -> Digests {
        Digests { key, table: Table::default(), made: 0 }
    }

    pub fn key(&self) -> &HashKey {
        &self.key
    }

    /// The digest of `text`, in lower-case hexadecimal.
    #[inline]
    pub fn digest(&mut self, text: &[u8]) -> [u8; DIGEST_CHARS] {
        hex_digest(&self.digest_bytes(text))
    }

    /// The digest of `text`.
    #[inline]
    pub(crate) fn digest_bytes(&mut self, text: &[u8]) -> [u8; DIGEST_BYTES] {
        if text.len() > TEXT_BYTES_MAX {
            return self.key.digest_bytes(text);
        }
        let mut known = [0; ENTRY_BYTES - DIGEST_BYTES];
        known[..text.len()].copy_from_slice(text);
        known[TEXT_BYTES_MAX] = text.len() as u8;
        let hash = hash(&known);
        match self.table.find(hash, &known) {
            Some(digest) => *digest,
            None => self.make(hash, &known, text),
        }
    }

    #[cold]
    fn make(
        &mut self,
        hash: u64,
        known: &[u8; ENTRY_BYTES - DIGEST_BYTES],
        text: &[u8],
    ) -> [u8; DIGEST_BYTES] {
        let digest = self.key.digest_bytes(text);
        if self.made >= self.table.entries.len() {
            self.table.grow();
            self.made = 0;
        }
        self.made += 1;
        self.table.put(hash, known, &digest);
        digest
    }
}

impl Table {
    #[inline]
    fn find(&self, hash: u64, known: &[u8; ENTRY_BYTES - DIGEST_BYTES]) -> Option<&[u8; DIGEST_BYTES]> {
        let set = self.set(hash)?;
        let tag = tag(hash);
        let mut ways = 0u32;
        for (way, found) in self.tags[set].iter().enumerate() {
            ways |= u32::from(*found == tag) << way;
        }
        while ways != 0 {
            let entry = &self.entries[set * WAYS + ways.trailing_zeros() as usize];
            let (text, digest) = entry.split_first_chunk()?;
            if text == known {
                return digest.first_chunk();
            }
            ways &= ways - 1;
        }
        None
    }

    #[inline]
    fn set(&self, hash: u64) -> Option<usize> {
        Some(hash as usize & self.tags.len().checked_sub(1)?)
    }

    fn put(&mut self, hash: u64, known: &[u8; ENTRY_BYTES - DIGEST_BYTES], digest: &[u8; DIGEST_BYTES]) {
        let Some(set) = self.set(hash) else { return };
        let free = self.tags[set].iter().position(|tag| *tag == 0);
        self.turn = (self.turn + 1) % WAYS;
        let way = free.unwrap_or(self.turn);
        self.tags[set][way] = tag(hash);
        let entry = &mut self.entries[set * WAYS + way];
        entry[..known.len()].copy_from_slice(known);
        entry[known.len()..].copy_from_slice(digest);
    }

    /// Makes room for eight times as many entries, and forgets those that there are: they come again or do not matter.
    fn grow(&mut self) {
        let sets = (self.tags.len() * 8).clamp(SETS_MIN, SETS_MAX);
        if sets <= self.tags.len() || !take(bytes(sets) - bytes(self.tags.len())) {
            return;
        }
        self.wipe();
        self.tags = vec![[0; WAYS]; sets];
        self.entries = vec![[0; ENTRY_BYTES]; sets * WAYS];
    }

    fn wipe(&mut self) {
        // The tags too: a few bits of a value are part of it.
        self.tags.zeroize();
        self.entries.zeroize();
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        BYTES.fetch_sub(bytes(self.tags.len()), Ordering::Relaxed);
        self.wipe();
    }
}

fn bytes(sets: usize) -> usize {
    sets * WAYS * (ENTRY_BYTES + size_of::<u16>())
}

/// Takes room for that many more bytes, if there is.
fn take(more: usize) -> bool {
    let taken = BYTES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
        (bytes + more <= BYTES_MAX).then_some(bytes + more)
    });
    taken.is_ok()
}

/// Which set, and in its highest bits which tag. No secret: whoever finds texts that collide has them hashed again.
#[inline]
fn hash(known: &[u8; ENTRY_BYTES - DIGEST_BYTES]) -> u64 {
    let (words, _) = known.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    let folded = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let front = folded(word(0) ^ 0x243f_6a88_85a3_08d3, word(1) ^ 0x1319_8a2e_0370_7344);
    let back = folded(word(2) ^ 0xa409_3822_299f_31d0, word(3) ^ 0x082e_fa98_ec4e_6c89);
    folded(front ^ 0x4528_21e6_38d0_1377, back ^ 0xbe54_66cf_34e9_0c6c)
}

/// Never zero, which stands for no entry.
#[inline]
fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_digest_is_the_digest() {
        let key = HashKey::from_bytes(&[3; 32]);
        let mut digests = Digests::new(key.clone());
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        // Few values, then more than there is room for at first, then few again; of all lengths around the border.
        for (values, rounds) in [(10, 1000), (5000, 20_000), (200_000, 20_000), (10, 1000)] {
            for _ in 0..rounds {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let value = (random >> 8) % values;
                let text = format!("{value}{}", "\0".repeat((value % 40) as usize));
                assert_eq!(digests.digest(text.as_bytes()), key.digest(text.as_bytes()), "{text:?}");
            }
        }
        assert!(digests.table.tags.len() > SETS_MIN && digests.table.tags.len() <= SETS_MAX);
    }

    #[test]
    fn what_differs_in_zeros_at_its_end_differs() {
        let mut digests = Digests::new(HashKey::from_bytes(&[3; 32]));
        let texts: [&[u8]; 4] = [b"", b"\0", b"a", b"a\0"];
        for text in texts.into_iter().chain(texts) {
            assert_eq!(digests.digest(text), digests.key.digest(text), "{text:?}");
        }
    }

    #[test]
    fn a_set_that_is_full_forgets_and_stays_right() {
        let key = HashKey::from_bytes(&[4; 32]);
        let mut table = Table::default();
        table.grow();
        let known = |n: u8| {
            let mut known = [0; ENTRY_BYTES - DIGEST_BYTES];
            (known[0], known[TEXT_BYTES_MAX]) = (n, 1);
            known
        };
        // All in one set and with one tag.
        for n in 0..20 {
            table.put(7, &known(n), &key.digest_bytes(&[n]));
        }
        let found: Vec<u8> = (0..20).filter(|n| table.find(7, &known(*n)).is_some()).collect();
        assert_eq!(found.len(), WAYS);
        for n in found {
            assert_eq!(table.find(7, &known(n)), Some(&key.digest_bytes(&[n])));
        }
    }
}
