//! The frame of a message: its segments, and the packing that leaves out zeros.
//! Always: segments lie within the bytes; unpacking stops at its bound.

use crate::payload::PayloadFault;

const WORD: usize = 8;
/// The reference implementation takes no more.
const SEGMENTS_MAX: usize = 512;

const SHORT: &str = "the message is shorter than its segment table says";

/// One message: segments within `bytes`.
pub(super) struct Message<'a> {
    pub bytes: &'a [u8],
    /// (first byte, bytes)
    segments: Vec<(usize, usize)>,
}

fn word32(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

/// The bytes of the segment table, and those of all segments.
fn table(bytes: &[u8]) -> Result<(usize, usize), PayloadFault> {
    let short = || PayloadFault::record(0, SHORT);
    let count = word32(bytes, 0).ok_or_else(short)?.saturating_add(1);
    if count > SEGMENTS_MAX {
        return Err(PayloadFault::record(0, "the message has more than 512 segments, or is none"));
    }
    let table = (4 + 4 * count).next_multiple_of(WORD);
    let mut all = 0_usize;
    for index in 0..count {
        let words = word32(bytes, 4 + 4 * index).ok_or_else(short)?;
        all = words.checked_mul(WORD).and_then(|bytes| all.checked_add(bytes)).ok_or_else(short)?;
    }
    Ok((table, all))
}

/// How many bytes the first message takes.
pub(super) fn framed_bytes(bytes: &[u8]) -> Result<usize, PayloadFault> {
    let (table, all) = table(bytes)?;
    let end = table.checked_add(all).filter(|end| *end <= bytes.len());
    end.ok_or_else(|| PayloadFault::record(0, SHORT))
}

impl<'a> Message<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Message<'a>, PayloadFault> {
        let end = framed_bytes(bytes)?;
        if end != bytes.len() {
            return Err(PayloadFault::record(end, "bytes stand behind the message"));
        }
        let (mut start, _) = table(bytes)?;
        let count = word32(bytes, 0).unwrap_or(0) + 1;
        let mut segments = Vec::with_capacity(count);
        for index in 0..count {
            let bytes = word32(bytes, 4 + 4 * index).unwrap_or(0) * WORD;
            segments.push((start, bytes));
            start += bytes;
        }
        Ok(Message { bytes, segments })
    }

    /// The segment's first byte, and its bytes.
    pub fn segment(&self, index: usize) -> Option<(usize, usize)> {
        self.segments.get(index).copied()
    }

    /// The word at a byte of the message.
    pub fn word(&self, at: usize) -> Option<u64> {
        let eight = self.bytes.get(at..at.checked_add(WORD)?)?.try_into().ok()?;
        Some(u64::from_le_bytes(eight))
    }
}

/// Takes words out of packed bytes.
struct Unpacker<'a> {
    packed: &'a [u8],
    at: usize,
    zeros: usize,
    plain: usize,
}

const CUT: &str = "the packed message breaks off";

impl Unpacker<'_> {
    fn byte(&mut self) -> Result<u8, PayloadFault> {
        let byte = self.packed.get(self.at).copied().ok_or_else(|| PayloadFault::record(self.at, CUT))?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<[u8; WORD], PayloadFault> {
        let mut word = [0; WORD];
        if self.zeros > 0 {
            self.zeros -= 1;
            return Ok(word);
        }
        if self.plain > 0 {
            self.plain -= 1;
            for byte in &mut word {
                *byte = self.byte()?;
            }
            return Ok(word);
        }
        let tag = self.byte()?;
        for (bit, byte) in word.iter_mut().enumerate() {
            if tag >> bit & 1 == 1 {
                *byte = self.byte()?;
            }
        }
        match tag {
            0 => self.zeros = usize::from(self.byte()?),
            0xff => self.plain = usize::from(self.byte()?),
            _ => {}
        }
        Ok(word)
    }

    /// Passes over words; runs of them at once.
    fn skip(&mut self, mut words: usize) -> Result<(), PayloadFault> {
        while words > 0 {
            if self.zeros > 0 {
                let run = self.zeros.min(words);
                self.zeros -= run;
                words -= run;
            } else if self.plain > 0 {
                let run = self.plain.min(words);
                self.plain -= run;
                words -= run;
                self.at += run * WORD;
                if self.at > self.packed.len() {
                    return Err(PayloadFault::record(self.packed.len(), CUT));
                }
            } else {
                self.word()?;
                words -= 1;
            }
        }
        Ok(())
    }
}

fn unpacked_table(unpacker: &mut Unpacker<'_>) -> Result<(Vec<u8>, usize), PayloadFault> {
    let mut head = unpacker.word()?.to_vec();
    let count = word32(&head, 0).unwrap_or(0).saturating_add(1);
    if count > SEGMENTS_MAX {
        return Err(PayloadFault::record(0, "the message has more than 512 segments, or is none"));
    }
    while head.len() < (4 + 4 * count).next_multiple_of(WORD) {
        head.extend(unpacker.word()?);
    }
    let (_, all) = table(&head)?;
    Ok((head, all / WORD))
}

/// How many packed bytes the first message takes.
pub(super) fn packed_bytes(packed: &[u8]) -> Result<usize, PayloadFault> {
    let mut unpacker = Unpacker { packed, at: 0, zeros: 0, plain: 0 };
    let (_, words) = unpacked_table(&mut unpacker)?;
    // Each tag stands for at most 256 words, so a table that lies costs no more than the bytes that are there.
    unpacker.skip(words)?;
    if unpacker.zeros + unpacker.plain > 0 {
        return Err(PayloadFault::record(unpacker.at, "a packed run goes beyond the message"));
    }
    Ok(unpacker.at)
}

pub(super) fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, PayloadFault> {
    let mut unpacker = Unpacker { packed, at: 0, zeros: 0, plain: 0 };
    let (mut bytes, words) = unpacked_table(&mut unpacker)?;
    let all = words.saturating_mul(WORD).saturating_add(bytes.len());
    if all > bytes_max {
        return Err(PayloadFault::too_large(0, "the event is larger than limits.event when it is unpacked"));
    }
    bytes.reserve(all - bytes.len());
    for _ in 0..words {
        bytes.extend(unpacker.word()?);
    }
    Ok(bytes)
}
