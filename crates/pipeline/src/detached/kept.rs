//! Columns of blocks that were read, kept for the next look: hot rows are asked for again and again until the lake has them,
//! and most of them are the same as a moment ago.
//! Always: at most `bytes_max`, the oldest blocks go first; what is kept was checked when it was read, and no body is held for
//! a column of it. Does not know whether a block is still hot: what is no longer asked for is the oldest, and goes.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use arrow::array::{Array, ArrayRef, MutableArrayData, make_array};
use hw_event::Seq;
use hw_journal::BlockPlace;

/// A block: its append, and where it stands there. No two of a journal have the same.
pub(super) type Key = (Seq, u64, u32);

pub(super) fn key(seq: Seq, place: &BlockPlace) -> Key {
    (seq, place.position, place.crc)
}

#[derive(Debug)]
pub struct Kept {
    bytes_max: usize,
    // A std mutex: held for a look-up or to put in what was copied before.
    columns: Mutex<Columns>,
}

#[derive(Debug, Default)]
struct Columns {
    by_block: BTreeMap<Key, Vec<(String, ArrayRef)>>,
    bytes: usize,
}

impl Kept {
    pub fn new(bytes_max: usize) -> Kept {
        Kept { bytes_max, columns: Mutex::default() }
    }

    pub(super) fn fits(&self, bytes: u64) -> bool {
        bytes <= self.bytes_max as u64
    }

    pub(super) fn get(&self, key: Key, column: &str) -> Option<ArrayRef> {
        let columns = self.columns();
        let block = columns.by_block.get(&key)?;
        block.iter().find(|(name, _)| name == column).map(|(_, array)| ArrayRef::clone(array))
    }

    /// Keeps a copy: the array shares its memory with all of its block.
    pub(super) fn put(&self, key: Key, column: &str, array: &ArrayRef) {
        let Some(copy) = copied(array) else { return };
        let bytes = copy.get_array_memory_size();
        let mut columns = self.columns();
        let block = columns.by_block.entry(key).or_default();
        if block.iter().any(|(name, _)| name == column) {
            return;
        }
        block.push((column.to_owned(), copy));
        columns.bytes += bytes;
        while columns.bytes > self.bytes_max {
            let Some((_, oldest)) = columns.by_block.pop_first() else { break };
            columns.bytes -= oldest.iter().map(|(_, array)| array.get_array_memory_size()).sum::<usize>();
        }
    }

    fn columns(&self) -> MutexGuard<'_, Columns> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: it cannot be as long as it is, so nobody needs it kept.
fn copied(array: &ArrayRef) -> Option<ArrayRef> {
    let data = array.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len()).ok()?;
    Some(make_array(copy.freeze()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn copies_are_kept_within_the_bound_and_the_oldest_go() {
        let kept = Kept::new(40_000);
        let all: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1_000));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("bc")]));
        let block = |seq| (Seq(seq), 4_096, 7);
        kept.put(block(1), "n", &all);
        kept.put(block(1), "text", &texts);
        assert_eq!(&kept.get(block(1), "n").unwrap(), &all);
        assert_eq!(&kept.get(block(1), "text").unwrap(), &texts);
        assert!(kept.get(block(1), "other").is_none() && kept.get((Seq(1), 4_097, 7), "n").is_none());
        for seq in 2..=5 {
            kept.put(block(seq), "n", &all);
            kept.put(block(seq), "n", &all);
        }
        assert!(kept.get(block(1), "n").is_none(), "the oldest has gone");
        assert!(kept.get(block(5), "n").is_some());
        let columns = kept.columns();
        let held: usize =
            columns.by_block.values().flatten().map(|(_, array)| array.get_array_memory_size()).sum();
        assert!(columns.bytes == held && held <= 40_000, "{held}");
    }
}
