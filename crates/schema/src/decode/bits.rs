//! One bit a row, of which most are zero.
//! Always: a row that was never set costs nothing; what `finish` gives has no bit set behind its last row.

use std::mem;

use arrow::buffer::{BooleanBuffer, Buffer};

#[derive(Debug, Default)]
pub(super) struct Bits {
    /// As far as the last bit that was set; the bits behind are zeros.
    words: Vec<u64>,
}

impl Bits {
    #[inline]
    pub fn set(&mut self, row: usize) {
        let word = row / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (row % 64);
    }

    pub fn get(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Sets the bits behind the first `rows` to zero again.
    pub fn truncate(&mut self, rows: usize) {
        self.words.truncate(rows.div_ceil(64));
        if let Some(last) = self.words.get_mut(rows / 64) {
            *last &= (1 << (rows % 64)) - 1;
        }
    }

    /// Gives the bits of `rows` rows and starts anew.
    pub fn finish(&mut self, rows: usize) -> BooleanBuffer {
        let mut words = mem::take(&mut self.words);
        words.resize(rows.div_ceil(64), 0);
        bitmap(words, rows)
    }

    /// As `finish`, with zeros where bits were set and ones elsewhere; `None` where none was.
    pub fn finish_inverted(&mut self, rows: usize) -> Option<BooleanBuffer> {
        let mut words = mem::take(&mut self.words);
        if words.iter().all(|word| *word == 0) {
            return None;
        }
        words.resize(rows.div_ceil(64), 0);
        words.iter_mut().for_each(|word| *word = !*word);
        if let Some(last) = words.last_mut().filter(|_| !rows.is_multiple_of(64)) {
            *last &= (1 << (rows % 64)) - 1;
        }
        Some(bitmap(words, rows))
    }
}

fn bitmap(words: Vec<u64>, rows: usize) -> BooleanBuffer {
    // Arrow counts bits from the lowest of the first byte.
    let words: Vec<u64> =
        if cfg!(target_endian = "little") { words } else { words.into_iter().map(u64::to_le).collect() };
    BooleanBuffer::new(Buffer::from_vec(words).slice_with_length(0, rows.div_ceil(8)), 0, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_that_were_set() {
        for rows in [1usize, 7, 8, 63, 64, 65, 127, 128, 200] {
            let mut bits = Bits::default();
            for round in 0..2 {
                let set: Vec<usize> = (0..rows).filter(|row| row % 3 == round).collect();
                set.iter().for_each(|&row| bits.set(row));
                // Rows that came and were taken back.
                (rows..rows + 70).for_each(|row| bits.set(row));
                bits.truncate(rows);
                let (given, inverted) = if round == 0 {
                    (bits.finish(rows), false)
                } else {
                    match bits.finish_inverted(rows) {
                        Some(given) => (given, true),
                        None => {
                            assert!(set.is_empty());
                            continue;
                        }
                    }
                };
                assert_eq!((given.len(), given.inner().len()), (rows, rows.div_ceil(8)));
                for row in 0..rows {
                    assert_eq!(given.value(row) != inverted, set.contains(&row), "{rows} {row}");
                }
                let ones: u32 = given.inner().iter().map(|byte| byte.count_ones()).sum();
                assert_eq!(ones as usize, given.count_set_bits(), "bits behind the last row");
            }
        }
        assert!(Bits::default().finish_inverted(10).is_none());
        assert_eq!(Bits::default().finish(10).count_set_bits(), 0);
    }
}
