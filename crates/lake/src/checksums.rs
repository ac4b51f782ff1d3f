//! Checksums of a data file: one over the whole, and one for each piece of fixed size, so that a reader can check
//! what it touches without reading the rest, and damage is named by a range.
//! Always: CRC-32C; every byte of a file is in exactly one piece, the last of which may be shorter.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use crate::Damage;

/// Small enough that a reader of one column reads little beside it, large enough that the checksums of the largest
/// file take a few KiB of its `add` action.
pub(crate) const PIECE_BYTES: u32 = 256 << 10;

/// The checksums of a file's pieces, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// The size of each piece but the last.
    pub bytes: u32,
    pub crc32c: Arc<[u32]>,
}

/// Sums what passes, in order.
#[derive(Debug, Default)]
pub(crate) struct Summing {
    bytes: u64,
    /// Of the pieces that are full.
    whole: u32,
    pieces: Vec<u32>,
    /// The piece that is not full yet.
    open: u32,
    open_bytes: usize,
}

/// What a whole file sums up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summed {
    pub bytes: u64,
    pub crc32c: u32,
    pub pieces: Pieces,
}

impl Summing {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES as usize - self.open_bytes));
            self.open = crc32c::crc32c_append(self.open, now);
            self.open_bytes += now.len();
            bytes = later;
            if self.open_bytes == PIECE_BYTES as usize {
                self.close_piece();
            }
        }
    }

    fn close_piece(&mut self) {
        self.whole = append(self.whole, self.open, self.open_bytes);
        self.pieces.push(self.open);
        (self.open, self.open_bytes) = (0, 0);
    }

    pub(crate) fn finish(mut self) -> Summed {
        if self.open_bytes > 0 {
            self.close_piece();
        }
        let pieces = Pieces { bytes: PIECE_BYTES, crc32c: self.pieces.into() };
        Summed { bytes: self.bytes, crc32c: self.whole, pieces }
    }
}

/// The CRC-32C of two parts, one behind the other; the second has `bytes`.
fn append(first: u32, second: u32, bytes: usize) -> u32 {
    // What a first part of one bit comes to behind a whole piece. All else is a sum of these, and to find them again for each
    // piece would cost three times what the checksum of its bytes costs.
    static BEHIND_A_PIECE: LazyLock<[u32; 32]> = LazyLock::new(|| {
        std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, PIECE_BYTES as usize))
    });
    if bytes != PIECE_BYTES as usize {
        return crc32c::crc32c_combine(first, second, bytes);
    }
    let bits = BEHIND_A_PIECE.iter().enumerate();
    bits.filter(|(bit, _)| first >> bit & 1 == 1).fold(second, |sum, (_, behind)| sum ^ behind)
}

impl Pieces {
    /// As it stands in `add.tags`: the size of a piece, a colon, eight hexadecimal digits a piece.
    pub(crate) fn to_tag(&self) -> String {
        use std::fmt::Write;
        let mut tag = format!("{}:", self.bytes);
        for crc32c in &*self.crc32c {
            // Writing to a text cannot fail.
            let _ = write!(tag, "{crc32c:08x}");
        }
        tag
    }

    /// `None` for a text that is no such tag, or not that of a file of so many bytes.
    pub(crate) fn from_tag(tag: &str, file_bytes: u64) -> Option<Pieces> {
        let (bytes, digits) = tag.split_once(':')?;
        let bytes: u32 = bytes.parse().ok().filter(|bytes| *bytes > 0)?;
        let fits = digits.is_ascii() && digits.len() as u64 == 8 * file_bytes.div_ceil(u64::from(bytes));
        let crc32c = (0..if fits { digits.len() / 8 } else { return None })
            .map(|at| u32::from_str_radix(&digits[8 * at..8 * at + 8], 16).ok())
            .collect::<Option<_>>()?;
        Some(Pieces { bytes, crc32c })
    }
}

/// What a file must be.
pub(crate) struct Expected<'a> {
    /// How the file is called in what is found.
    pub file: PathBuf,
    pub bytes: u64,
    pub crc32c: Option<u32>,
    pub pieces: Option<&'a Pieces>,
}

/// Reads a whole file and compares. `pace` is told of the bytes as they are read. Blocking.
pub(crate) fn check_file(path: &Path, expected: &Expected<'_>, pace: &mut dyn FnMut(u64)) -> Vec<Damage> {
    let damage = |start, end, reason: String| Damage { file: expected.file.clone(), start, end, reason };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![damage(0, expected.bytes, "the file is missing".to_owned())];
        }
        Err(error) => return vec![damage(0, expected.bytes, format!("it cannot be opened: {error}"))],
    };
    // What is in memory says nothing about the disk. Where this is not understood, memory is looked at.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    let piece_bytes = expected.pieces.map_or(PIECE_BYTES, |pieces| pieces.bytes);
    let mut buffer = vec![0; piece_bytes as usize];
    let (mut found, mut position, mut whole) = (Vec::new(), 0u64, 0u32);
    for index in 0.. {
        let read = match read_full(&mut file, &mut buffer) {
            Ok(read) => read,
            Err(error) => {
                found.push(damage(position, expected.bytes, format!("it cannot be read: {error}")));
                return found;
            }
        };
        if read == 0 {
            break;
        }
        pace(read as u64);
        let crc32c = crc32c::crc32c(&buffer[..read]);
        whole = append(whole, crc32c, read);
        let end = position + read as u64;
        let named = expected.pieces.and_then(|pieces| pieces.crc32c.get(index)).copied();
        if end <= expected.bytes
            && let Some(named) = named
            && named != crc32c
        {
            found.push(damage(position, end, differs(crc32c, named)));
        }
        position = end;
    }
    if position != expected.bytes {
        let (start, end) = (position.min(expected.bytes), position.max(expected.bytes));
        found.push(damage(start, end, format!("it has {position} bytes, not {}", expected.bytes)));
    } else if let (None, Some(named)) = (expected.pieces, expected.crc32c)
        && named != whole
    {
        found.push(damage(0, position, differs(whole, named)));
    }
    found
}

pub(crate) fn differs(found: u32, named: u32) -> String {
    format!("its CRC-32C is {found:08x}, not {named:08x}")
}

/// Fills the buffer, or reads what there is.
fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_whole_agree_however_the_bytes_come() {
        let bytes: Vec<u8> = (0..PIECE_BYTES * 2 + 5).map(|at| (at * 7) as u8).collect();
        for step in [1000, PIECE_BYTES as usize, bytes.len()] {
            let mut summing = Summing::default();
            bytes.chunks(step).for_each(|chunk| summing.add(chunk));
            let summed = summing.finish();
            assert_eq!((summed.bytes, summed.crc32c), (bytes.len() as u64, crc32c::crc32c(&bytes)));
            let expected: Vec<u32> = bytes.chunks(PIECE_BYTES as usize).map(crc32c::crc32c).collect();
            assert_eq!(*summed.pieces.crc32c, *expected);
            let tag = summed.pieces.to_tag();
            assert_eq!(Pieces::from_tag(&tag, summed.bytes), Some(summed.pieces));
            assert_eq!(Pieces::from_tag(&tag, u64::from(PIECE_BYTES)), None, "not this file's");
        }
        assert_eq!(Pieces::from_tag("0:", 0), None);
        assert_eq!(Pieces::from_tag("4:zzzzzzzz", 4), None);
        assert_eq!(Pieces::from_tag("4:äääääää", 4), None);
    }

    #[test]
    fn damage_is_named_by_its_piece() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut bytes = vec![7u8; PIECE_BYTES as usize * 2 + 5];
        let mut summing = Summing::default();
        summing.add(&bytes);
        let summed = summing.finish();
        let check = |pieces| {
            let expected =
                Expected { file: "a".into(), bytes: summed.bytes, crc32c: Some(summed.crc32c), pieces };
            let found = check_file(&path, &expected, &mut |_| {});
            found.iter().map(|damage| damage.start..damage.end).collect::<Vec<_>>()
        };
        let piece = u64::from(PIECE_BYTES);
        assert_eq!(check(None), [0..summed.bytes], "missing");
        std::fs::write(&path, &bytes).unwrap();
        assert!(check(Some(&summed.pieces)).is_empty() && check(None).is_empty());
        bytes[PIECE_BYTES as usize] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(check(Some(&summed.pieces)), [piece..2 * piece]);
        assert_eq!(check(None), [0..summed.bytes]);
        bytes[PIECE_BYTES as usize] ^= 1;
        std::fs::write(&path, &bytes[..PIECE_BYTES as usize + 1]).unwrap();
        let short = check(Some(&summed.pieces));
        assert_eq!(short, [piece..piece + 1, piece + 1..summed.bytes]);
    }
}
