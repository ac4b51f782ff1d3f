//! A segment file: where its parts are, its header and its trailer.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4096 | header page |
//! | 4096..8192 | the same again |
//! | 8192.. | the snapshot, twice, each in frames of its own group |
//! | | groups of frames, each from a multiple of 4096 |
//! | | a sealed one: the index frame |
//! | last 4096 | a sealed one: the trailer page |
//!
//! Header and snapshot stand twice because they are the only copy of what recycled segments knew: one bad
//! sector must not cost more than itself.
//! Groups start on pages of their own because a page that was synced is never written again: a torn write of the
//! next group must not be able to reach what was acknowledged.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use hw_event::{Seq, Timestamp};

use crate::{
    DiskFile,
    cursor::{Cursor, Short},
    frame::KNOWN_FEATURES,
};

pub(crate) const PAGE: u64 = 4096;
/// Where the first frame is.
pub(crate) const FRAMES_START: u64 = 2 * PAGE;
pub(crate) const VERSION: u16 = 1;
const HEADER_MAGIC: [u8; 8] = *b"HWsegmnt";
const TRAILER_MAGIC: [u8; 8] = *b"HWtrailr";

/// The first page of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub journal_id: u128,
    /// Never used twice in a journal: what the frames' checksums are seeded with.
    pub incarnation: u64,
    /// Counts the segments of a journal from 1; the file is named for it.
    pub number: u64,
    pub segment_bytes: u64,
    /// The number that the first append in it gets.
    pub first: Seq,
    pub epoch: u64,
    pub created_at: Timestamp,
    pub previous: Previous,
}

/// Where the segment before this one validly ends. What stands after `end` there was never acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Previous {
    /// 0: there is none.
    pub number: u64,
    pub incarnation: u64,
    pub end: u64,
    pub last: Seq,
}

/// The last page of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub journal_id: u128,
    pub incarnation: u64,
    pub index_at: u64,
    pub index_bytes: u64,
    /// The number of the segment that follows, once it is there; 0: not known.
    pub next: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageError {
    /// Never written, torn or damaged.
    NotAPage,
    Version(u16),
    Features(u32),
}

impl From<Short> for PageError {
    fn from(_: Short) -> PageError {
        PageError::NotAPage
    }
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:016}.seg")
}

pub(crate) fn free_name(number: u64) -> String {
    format!("{number:016}.free")
}

pub(crate) fn part_name(number: u64) -> String {
    format!("{number:016}.part")
}

/// The number in a file name of the form `NNNNNNNNNNNNNNNN.suffix`.
pub(crate) fn parse_name(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?.strip_suffix('.')?;
    let all_digits = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { digits.parse().ok() } else { None }
}

pub(crate) fn align_page(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

/// magic (8) · crc u32 · version u16 · 0 u16 · incompatible u32 · 0 u32, then `fields`, then zeros.
fn encode_page(magic: [u8; 8], fields: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE as usize);
    page.extend_from_slice(&magic);
    page.extend_from_slice(&[0; 4]);
    page.extend_from_slice(&VERSION.to_le_bytes());
    page.extend_from_slice(&[0; 10]);
    fields(&mut page);
    page.resize(PAGE as usize, 0);
    let crc = crc32c::crc32c(&page[12..]);
    page[8..12].copy_from_slice(&crc.to_le_bytes());
    page
}

/// Checks a page and returns its fields.
fn open_page(page: &[u8], magic: [u8; 8]) -> Result<Cursor<'_>, PageError> {
    let mut cursor = Cursor::new(page);
    if page.len() != PAGE as usize || cursor.take(8)? != magic {
        return Err(PageError::NotAPage);
    }
    if cursor.u32()? != crc32c::crc32c(&page[12..]) {
        return Err(PageError::NotAPage);
    }
    let version = cursor.u16()?;
    if version > VERSION {
        return Err(PageError::Version(version));
    }
    cursor.u16()?;
    let features = cursor.u32()?;
    if features & !KNOWN_FEATURES != 0 {
        return Err(PageError::Features(features & !KNOWN_FEATURES));
    }
    cursor.u32()?;
    Ok(cursor)
}

impl Header {
    pub fn encode(&self) -> Vec<u8> {
        encode_page(HEADER_MAGIC, |page| {
            page.extend_from_slice(&self.journal_id.to_le_bytes());
            let numbers = [
                self.incarnation,
                self.number,
                self.segment_bytes,
                self.first.0,
                self.epoch,
                self.created_at.0.cast_unsigned(),
                self.previous.number,
                self.previous.incarnation,
                self.previous.end,
                self.previous.last.0,
            ];
            numbers.iter().for_each(|number| page.extend_from_slice(&number.to_le_bytes()));
        })
    }

    pub fn decode(page: &[u8]) -> Result<Header, PageError> {
        let mut cursor = open_page(page, HEADER_MAGIC)?;
        Ok(Header {
            journal_id: cursor.u128()?,
            incarnation: cursor.u64()?,
            number: cursor.u64()?,
            segment_bytes: cursor.u64()?,
            first: Seq(cursor.u64()?),
            epoch: cursor.u64()?,
            created_at: Timestamp(cursor.i64()?),
            previous: Previous {
                number: cursor.u64()?,
                incarnation: cursor.u64()?,
                end: cursor.u64()?,
                last: Seq(cursor.u64()?),
            },
        })
    }
}

impl Trailer {
    pub fn encode(&self) -> Vec<u8> {
        encode_page(TRAILER_MAGIC, |page| {
            page.extend_from_slice(&self.journal_id.to_le_bytes());
            for number in [self.incarnation, self.index_at, self.index_bytes, self.next] {
                page.extend_from_slice(&number.to_le_bytes());
            }
        })
    }

    pub fn decode(page: &[u8]) -> Result<Trailer, PageError> {
        let mut cursor = open_page(page, TRAILER_MAGIC)?;
        Ok(Trailer {
            journal_id: cursor.u128()?,
            incarnation: cursor.u64()?,
            index_at: cursor.u64()?,
            index_bytes: cursor.u64()?,
            next: cursor.u64()?,
        })
    }
}

/// A segment's open file. Whoever reads from it holds an `Arc`: while there is one, it is not written again.
pub(crate) struct SegmentFile {
    pub name: String,
    pub header: Header,
    pub file: Arc<dyn DiskFile>,
    /// Its room is needed: whoever can do without it lets go. Only ever set.
    pub wanted: AtomicBool,
}

impl SegmentFile {
    pub fn seed(&self) -> u32 {
        crate::frame::seed(self.header.incarnation)
    }
}

/// Reads exactly `len` bytes, or fewer where the file ends.
pub(crate) fn read_vec(file: &dyn DiskFile, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, position)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            journal_id: 7 << 100,
            incarnation: 3,
            number: 2,
            segment_bytes: 65536,
            first: Seq(11),
            epoch: 4,
            created_at: Timestamp(-1),
            previous: Previous { number: 1, incarnation: 1, end: 12288, last: Seq(10) },
        }
    }

    #[test]
    fn a_header_comes_back_and_no_changed_bit_passes() {
        let page = header().encode();
        assert_eq!(Header::decode(&page), Ok(header()));
        for bit in 0..page.len() * 8 {
            let mut changed = page.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&changed), Err(PageError::NotAPage), "bit {bit}");
        }
        assert_eq!(Header::decode(&page[..4095]), Err(PageError::NotAPage));
    }

    #[test]
    fn a_newer_version_and_an_unknown_feature_are_named() {
        let reseal = |mut page: Vec<u8>| {
            let crc = crc32c::crc32c(&page[12..]);
            page[8..12].copy_from_slice(&crc.to_le_bytes());
            page
        };
        let mut newer = header().encode();
        newer[12] = 2;
        assert_eq!(Header::decode(&reseal(newer)), Err(PageError::Version(2)));
        let mut feature = header().encode();
        feature[17] = 1;
        assert_eq!(Header::decode(&reseal(feature)), Err(PageError::Features(256)));
    }

    #[test]
    fn a_trailer_comes_back_and_is_no_header() {
        let trailer = Trailer { journal_id: 9, incarnation: 3, index_at: 8192, index_bytes: 96, next: 4 };
        assert_eq!(Trailer::decode(&trailer.encode()), Ok(trailer));
        assert_eq!(Header::decode(&trailer.encode()), Err(PageError::NotAPage));
    }

    #[test]
    fn only_our_names_are_ours() {
        assert_eq!(parse_name(&segment_name(12), "seg"), Some(12));
        for name in ["12.seg", "0000000000000012.free", "000000000000001x.seg", "0000000000000012", ".seg"] {
            assert_eq!(parse_name(name, "seg"), None, "{name}");
        }
    }
}
