//! The texts of one column, end to end.
//! Always: what is looked at while a string is copied may be more than the string; of that nothing stays, in no part of the
//! memory that is handed on.

use std::mem;

use crate::json::{CHUNK, plain};

/// Two registers of most machines.
const PIECE: usize = 32;

/// The offsets of a column are 32 bits wide; a batch is cut long before, by whoever calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug)]
pub(super) struct Texts {
    /// Where each text ends, behind a zero.
    offsets: Vec<i32>,
    data: Vec<u8>,
    /// The memory behind `data` was written up to here.
    touched: usize,
    /// Bytes a row of the last batch, rounded up.
    usual: usize,
}

impl Default for Texts {
    fn default() -> Texts {
        Texts { offsets: vec![0], data: Vec::new(), touched: 0, usual: 0 }
    }
}

impl Texts {
    #[inline]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Makes room for `rows` more, as far as they are as usual; they come from events of `bytes`.
    pub fn reserve(&mut self, rows: usize, bytes: usize) {
        self.offsets.reserve(rows);
        let usual = self.usual.saturating_mul(rows).min(bytes);
        if usual > 0 {
            self.data.reserve(usual + usual / 8 + CHUNK);
        }
    }

    #[inline]
    pub fn push(&mut self, text: &[u8]) -> Result<(), Full> {
        let offset = i32::try_from(self.data.len() + text.len()).map_err(|_| Full)?;
        self.data.extend_from_slice(text);
        self.offsets.push(offset);
        Ok(())
    }

    /// Pushes the first `length` bytes of `from`: in pieces of one size while there are any, since a call for each short text
    /// costs more than to copy too much.
    #[inline(always)]
    pub fn push_start(&mut self, from: &[u8], length: usize) -> Result<(), Full> {
        let start = self.data.len();
        let offset = i32::try_from(start + length).map_err(|_| Full)?;
        let mut done = 0;
        while done < length {
            match from[done..].first_chunk::<PIECE>() {
                Some(piece) => self.data.extend_from_slice(piece),
                None => {
                    self.data.extend_from_slice(&from[done..length]);
                    break;
                }
            }
            done += PIECE;
        }
        self.touched = self.touched.max(self.data.len());
        self.data.truncate(start + length);
        self.offsets.push(offset);
        Ok(())
    }

    /// A text of no bytes, for a value that is not there.
    #[inline]
    pub fn push_none(&mut self) {
        self.offsets.push(self.offsets.last().copied().unwrap_or(0));
    }

    /// Pushes the string that `text` begins with, behind its opening quote, if all of its bytes stand for themselves;
    /// returns how long it is without its closing quote. Otherwise nothing is pushed.
    #[inline(always)]
    pub fn push_string(&mut self, text: &[u8]) -> Option<usize> {
        let start = self.data.len();
        let mut length = 0;
        let mut ended = false;
        for chunk in text.as_chunks::<CHUNK>().0 {
            // All of the chunk: what does not belong to the string is taken back, and written over or wiped.
            self.data.extend_from_slice(chunk);
            let count = plain(chunk, 0);
            length += count;
            if count < CHUNK {
                ended = true;
                break;
            }
        }
        if !ended {
            let chunk = last_chunk(text);
            self.data.extend_from_slice(&chunk);
            length += plain(&chunk, 0);
        }
        self.touched = self.touched.max(self.data.len());
        self.data.truncate(start + length);
        match (text.get(length), i32::try_from(start + length)) {
            (Some(b'"'), Ok(offset)) => {
                self.offsets.push(offset);
                Some(length)
            }
            _ => {
                self.data.truncate(start);
                None
            }
        }
    }

    pub fn last(&self) -> Option<&[u8]> {
        let [.., start, end] = self.offsets[..] else { return None };
        self.data.get(start as usize..end as usize)
    }

    /// Takes back everything behind the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.touched = self.touched.max(self.data.len());
        self.data.truncate(self.offsets.last().map_or(0, |&end| end as usize));
    }

    /// Gives the offsets and the bytes, and starts anew.
    pub fn finish(&mut self) -> (Vec<i32>, Vec<u8>) {
        self.wipe();
        self.touched = 0;
        self.usual = self.data.len().div_ceil(self.len().max(1));
        (mem::replace(&mut self.offsets, vec![0]), mem::take(&mut self.data))
    }

    /// What was written behind the texts becomes zeros.
    fn wipe(&mut self) {
        let end = self.data.len();
        if self.touched > end {
            self.data.resize(self.touched, 0);
            self.data.truncate(end);
        }
    }
}

/// What is left of `text` behind its whole chunks, filled up with zeros, which end any string.
#[inline(never)]
fn last_chunk(text: &[u8]) -> [u8; CHUNK] {
    let rest = text.as_chunks::<CHUNK>().1;
    match text.last_chunk::<CHUNK>() {
        Some(last) if !rest.is_empty() => {
            (u128::from_le_bytes(*last) >> (8 * (CHUNK - rest.len()))).to_le_bytes()
        }
        _ => {
            let mut chunk = [0; CHUNK];
            chunk[..rest.len()].copy_from_slice(rest);
            chunk
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes that are not zero lie in the memory behind the texts, up to `touched`.
    fn left_behind(data: &mut Vec<u8>, touched: usize) -> usize {
        let left = touched.saturating_sub(data.len());
        // SAFETY: `wipe` has written zeros there, or, if it does not, `push_string` and `truncate` the bytes that this
        // test is to find.
        #[expect(unsafe_code, reason = "no safe way leads behind the end of a vector")]
        let behind = unsafe { data.spare_capacity_mut()[..left].assume_init_ref() };
        behind.iter().filter(|&&byte| byte != 0).count()
    }

    #[test]
    fn texts_come_back_and_nothing_else() {
        let seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = seed;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) as usize % bound
        };
        let mut texts = Texts::default();
        for round in 0..if cfg!(miri) { 5 } else { 500 } {
            let mut expected: Vec<Vec<u8>> = Vec::new();
            let rows = below(60);
            texts.reserve(rows, 1000);
            for _ in 0..rows {
                let text: Vec<u8> = (0..below(70)).map(|_| b'a' + below(26) as u8).collect();
                match below(9) {
                    0 => assert_eq!(texts.push(&text), Ok(())),
                    1 => {
                        texts.push_none();
                        expected.push(Vec::new());
                        continue;
                    }
                    2 => {
                        // A row that is taken back.
                        assert_eq!(texts.push(b"SECRET of a refused event"), Ok(()));
                        texts.truncate(expected.len());
                        continue;
                    }
                    3 => {
                        let record = [&text[..], b"\\n\",\"SECRET\":\"SECRET\""].concat();
                        assert_eq!(texts.push_string(&record), None, "seed {seed}, round {round}");
                        continue;
                    }
                    4 => {
                        assert_eq!(texts.push_string(&text), None, "seed {seed}, round {round}");
                        continue;
                    }
                    5 => {
                        let record = [b"{\"before\":\"SECRET\"", &text[..], b"\"}"].concat();
                        let end = texts.push_string(&record[18..]);
                        assert_eq!(end, Some(text.len()), "seed {seed}, round {round}");
                    }
                    6 => {
                        let record =
                            [&text[..], &b"\",\"SECRET\":\"SECRET of a length\""[below(30)..]].concat();
                        assert_eq!(texts.push_start(&record, text.len()), Ok(()));
                    }
                    _ => {
                        let record = [&text[..], b"\",\"SECRET\":\"SECRET\""].concat();
                        let end = texts.push_string(&record);
                        assert_eq!(end, Some(text.len()), "seed {seed}, round {round}");
                    }
                }
                expected.push(text);
            }
            assert_eq!(texts.len(), expected.len());
            let touched = texts.touched;
            let (offsets, mut data) = texts.finish();
            assert_eq!(left_behind(&mut data, touched), 0, "seed {seed}, round {round}");
            for (pair, text) in offsets.windows(2).zip(&expected) {
                assert_eq!(&data[pair[0] as usize..pair[1] as usize], text, "seed {seed}, round {round}");
            }
            assert_eq!(data.len(), offsets.last().map_or(0, |&end| end as usize));
        }
    }
}
